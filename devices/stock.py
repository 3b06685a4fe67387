"""Seed files come into the stock: all of a file or nothing.

A file is read twice. The first time everything is judged and nothing is written; the second time what was found good is sealed
and set aside, ready to be stored. Only then a transaction begins, which does nothing but store: on SQLite nobody else can write
while it lasts. The file itself is not kept.
"""

import hashlib
import itertools
import pickle  # only of what this process wrote a moment before
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any, BinaryIO
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from audit.events import OPERATOR, record
from devices import seed_files
from devices.lifecycle import State
from devices.models import Device
from devices.seed_files import BadFile, BadRow, Row, Secret, Why
from mfa_site import keyring
from mfa_site.client import HERE, Client

SHORTEST, LONGEST = 14, 64  # bytes; NIST SP 800-63B wants 112 bits, and HMAC-SHA-512 makes use of no more than 1024
AT_ONCE = 1_000  # rows of one statement, and of one look into the database

AS_THE_FILE_SAYS = (
    "serial",
    "kind",
    "model",
    "algorithm",
    "digits",
    "period",
    "drift",
    "public_id",
    "valid_from",
    "valid_until",
)

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Report:
    """What became of a file. `accepted`: how many tokens are in stock now, or would be after a dry run; 0 where any was
    refused. `digest`: SHA-256 of the file, in hexadecimal."""

    batch: UUID
    file_format: str
    digest: str
    accepted: int
    refused: list[BadRow]


@dataclass
class _Seen:
    """What the rows of this file have had so far; hashes of it, and whose the tokens are to be, by their serials."""

    serials: set[int] = field(default_factory=set)
    seeds: set[int] = field(default_factory=set)
    public_ids: set[int] = field(default_factory=set)
    owners: dict[str, int] = field(default_factory=dict)


def import_file(
    file: BinaryIO,
    file_format: str,
    secret: Secret,
    *,
    dry_run: bool,
    batch: UUID,
    owner_of: Callable[[str], int | None],
    hand_out: Callable[[Device, int], None],
    now: datetime,
    progress: Progress = lambda position: None,
    actor: UUID = OPERATOR,
    client: Client = HERE,
    largest: int = seed_files.LARGEST,
) -> Report:
    """Every token of the file is in stock, sealed, or (where any was refused, or in a dry run) nothing has changed.

    `owner_of` finds the person that a row names, once for each row: the key of their row, None for nobody. `hand_out` gives
    them their token in the same transaction (BadFile undoes everything). `progress` is told how many bytes were read, of twice
    the file. BadFile where the file is refused as a whole; the report never has a seed.
    """
    digest, seen = digest_of(file, largest), _Seen()
    size = file.tell()  # it was read to its end
    refused, good = [], 0
    for chunk in chunks(seed_files.read(file, file_format, secret, largest)):
        rows = list(judged(chunk, seen, owner_of, now))
        bad = [row for row in rows if isinstance(row, BadRow)]
        refused += bad
        good += len(rows) - len(bad)
        progress(file.tell())
    if not (good or refused):
        raise BadFile(Why.FILE_EMPTY)
    report = Report(batch, file_format, digest, 0 if refused else good, refused)
    if report.accepted and not dry_run:
        with tempfile.TemporaryFile() as aside:
            for chunk in chunks(seed_files.read(file, file_format, secret, largest)):
                set_aside(chunk, batch, now, aside)
                progress(size + file.tell())
            if digest_of(file, largest) != digest:
                raise BadFile(Why.FILE_CHANGED)
            store(aside, report, list(seen.owners.items()), hand_out, actor, client)
    return report


def chunks(rows: Iterable[Row | BadRow]) -> Iterator[list[Row | BadRow]]:
    """The rows, so many at once."""
    rows = iter(rows)
    while found := list(itertools.islice(rows, AT_ONCE)):
        yield found


def digest_of(file: BinaryIO, largest: int) -> str:
    """SHA-256 of the whole file; BadFile where it is too large to be read."""
    if file.seek(0, 2) > largest:
        raise BadFile(Why.FILE_TOO_LARGE)
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def seed_hash(row: Row) -> str:
    """The keyed hash by which a seed is found again."""
    return keyring.mac(row.seed, "seed")


def judged(
    rows: list[Row | BadRow], seen: _Seen, owner_of: Callable[[str], int | None], now: datetime
) -> Iterator[Row | BadRow]:
    """The rows, those that cannot be kept as refusals."""
    good = [row for row in rows if isinstance(row, Row)]
    hashes = {row.number: seed_hash(row) for row in good}
    known = {
        "serial": in_use("serial", [row.serial for row in good]),
        "secret_hash": in_use("secret_hash", list(hashes.values())),
        "public_id": in_use("public_id", [row.public_id for row in good if row.public_id]),
    }
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        why = why_not(row, now) or twice(row, hashes[row.number], seen) or is_known(row, hashes[row.number], known)
        if why is None and row.owner:
            why = note_owner(row, seen, owner_of)
        yield BadRow(row.number, row.serial, why) if why else row


def in_use(column: str, wanted: list[str]) -> set[str]:
    """Those of the values that a device has which was not removed."""
    return set(Device.objects.exclude(state=State.RETIRED).filter(**{f"{column}__in": wanted}).values_list(column, flat=True))


def why_not(row: Row, now: datetime) -> Why | None:
    """What keeps this token out by itself."""
    if len(row.seed) < SHORTEST:
        return Why.SEED_TOO_SHORT
    if len(row.seed) > LONGEST:
        return Why.SEED_TOO_LONG
    if row.valid_until is not None and row.valid_until <= now:
        return Why.EXPIRED
    return None


def twice(row: Row, hashed: str, seen: _Seen) -> Why | None:
    """Whether an earlier row of the file has the same; from now on this one is an earlier one."""
    found = None
    places = ((seen.serials, row.serial, Why.SERIAL_TWICE), (seen.seeds, hashed, Why.SEED_TWICE))
    for numbers, value, why in (*places, (seen.public_ids, row.public_id, Why.PUBLIC_ID_TWICE)):
        if value:
            short = int.from_bytes(hashlib.sha256(value.encode()).digest()[:8])  # 64 bits: small, and as good as never alike
            found = found or (why if short in numbers else None)
            numbers.add(short)
    return found


def is_known(row: Row, hashed: str, known: dict[str, set[str]]) -> Why | None:
    """Whether a device that is there already has the same."""
    if row.serial in known["serial"]:
        return Why.SERIAL_KNOWN
    if hashed in known["secret_hash"]:
        return Why.SEED_KNOWN
    return Why.PUBLIC_ID_KNOWN if row.public_id in known["public_id"] else None


def note_owner(row: Row, seen: _Seen, owner_of: Callable[[str], int | None]) -> Why | None:
    """Whose the token is to be is noted, unless there is nobody by that name."""
    person = owner_of(row.owner)
    if person is None:
        return Why.OWNER_UNKNOWN
    seen.owners[row.serial] = person
    return None


def device(row: Row, batch: UUID, now: datetime) -> Device:
    """The token as it lies in stock. Its `counter` is the highest one used: the file names the next one."""
    columns: dict[str, Any] = {name: getattr(row, name) for name in AS_THE_FILE_SAYS}
    counter = row.counter - 1 if row.kind == "hotp" else -1
    made = Device(state=State.IN_STOCK, batch=batch, counter=counter, created_at=now, **columns)
    made.seed, made.secret_hash = row.seed, seed_hash(row)
    return made


def stored_fields() -> list[Any]:
    """The columns that an INSERT names."""
    return [field for field in Device._meta.concrete_fields if not field.primary_key and not field.generated]


def set_aside(rows: list[Row | BadRow], batch: UUID, now: datetime, aside: IO[bytes]) -> None:
    """The rows are in the temporary file as the database wants them: sealed. BadFile if one was good before and is not now."""
    fields, prepared = stored_fields(), []
    for row in rows:
        if isinstance(row, BadRow):
            raise BadFile(Why.FILE_CHANGED)
        made = device(row, batch, now)
        prepared.append(tuple(field.get_db_prep_save(getattr(made, field.attname), connection) for field in fields))
    pickle.dump(prepared, aside)


def store(
    aside: IO[bytes],
    report: Report,
    owners: list[tuple[str, int]],
    hand_out: Callable[[Device, int], None],
    actor: UUID,
    client: Client,
) -> None:
    """What was set aside is in stock, and handed out where it is somebody's; BadFile, and nothing kept, where the stock is not
    what was judged."""
    names = ", ".join(connection.ops.quote_name(field.column) for field in stored_fields())
    places = ", ".join(["%s"] * len(stored_fields()))
    # bulk_create takes five times as long, with everybody waiting.
    sql = f"INSERT INTO {connection.ops.quote_name(Device._meta.db_table)} ({names}) VALUES ({places})"  # noqa: S608  # our own names
    aside.seek(0)
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                for _chunk in range(-(-report.accepted // AT_ONCE)):
                    cursor.executemany(sql, pickle.load(aside))  # noqa: S301  # written by this process, and nobody else's
            for serial, person in owners:
                hand_out(Device.objects.get(batch=report.batch, serial=serial), person)
            about = {"count": report.accepted, "format": report.file_format, "batch": str(report.batch)}
            record("tokens_imported", client=client, actor=actor, digest=report.digest, **about)  # type: ignore[arg-type]
    except IntegrityError:  # somebody had the same serial or seed meanwhile
        raise BadFile(Why.FILE_CHANGED) from None
