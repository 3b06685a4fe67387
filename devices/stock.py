"""Tokens come into the stock: all of a file or nothing. And they go out again, all of a batch, while nobody has one.

The rows are read twice. The first time everything is judged and nothing is written; the second time what was found good is
sealed and set aside, ready to be stored. Only then a transaction begins, which does nothing but store: on SQLite nobody else
can write while it lasts. The file itself is not kept.
"""

import hashlib
import itertools
import pickle  # only of what this process wrote a moment before
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import IO, Any, BinaryIO
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from audit.events import OPERATOR, record
from devices import seed_files
from devices.judging import Existing, Fate, OwnerOf, Seen, judged, seed_hash
from devices.lifecycle import State
from devices.models import GONE, Device
from devices.seed_files import BadFile, BadRow, Row, Secret, Why
from mfa_site.client import HERE, Client

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
Rows = Iterable[Row | BadRow]


@dataclass(frozen=True)
class Report:
    """What became of a file. `accepted`: how many tokens are in stock now, or would be after a dry run; 0 where any was
    refused. `replaced`: how many of them took the place of another. `digest`: SHA-256 of the file, in hexadecimal."""

    batch: UUID
    file_format: str
    digest: str
    accepted: int = 0
    refused: list[BadRow] = field(default_factory=list)
    skipped: int = 0
    replaced: int = 0


@dataclass(frozen=True)
class Terms:
    """On which terms rows come in: whose they may be and who gives them out (both once for each row that names somebody;
    BadFile undoes everything), who asked, what is to be done in the same transaction, and what becomes of known serials."""

    owner_of: OwnerOf
    hand_out: Callable[[Device, int], None]
    now: datetime
    existing: Existing = Existing.REFUSE
    actor: UUID = OPERATOR
    client: Client = HERE
    done: Callable[[Report], None] = lambda report: None


def import_file(
    file: BinaryIO,
    file_format: str,
    secret: Secret,
    terms: Terms,
    *,
    dry_run: bool,
    batch: UUID,
    progress: Progress = lambda position: None,
    largest: int = seed_files.LARGEST,
) -> Report:
    """Every token of the file is in stock, sealed, or (where any was refused, or in a dry run) nothing has changed.

    `progress` is told how many bytes were read, of twice the file. BadFile where the file is refused as a whole; the report
    never has a seed.
    """
    report = Report(batch, file_format, digest_of(file, largest))
    begun = itertools.count(0, file.tell())

    def rows() -> Iterator[Row | BadRow]:
        before = next(begun)
        for number, row in enumerate(seed_files.read(file, file_format, secret, largest)):
            if number % AT_ONCE == 0:
                progress(before + file.tell())
            yield row
        progress(before + file.tell())
        if before and digest_of(file, largest) != report.digest:
            raise BadFile(Why.FILE_CHANGED)

    return import_rows(rows, report, terms, dry_run=dry_run)


def import_rows(read: Callable[[], Rows], report: Report, terms: Terms, *, dry_run: bool = False) -> Report:
    """The same for the rows that `read` gives, twice; the report says what became of them. BadFile."""
    seen, fates = Seen(), dict[int, Fate]()
    count = dict.fromkeys(Fate, 0)
    for chunk in chunks(read()):
        for verdict in judged(chunk, seen, terms.owner_of, terms.now, terms.existing):
            count[verdict.fate] += 1
            if verdict.fate is Fate.REFUSED:
                report.refused.append(verdict.refusal)
            elif verdict.fate is not Fate.NEW:
                fates[verdict.row.number] = verdict.fate
    if not sum(count.values()):
        raise BadFile(Why.FILE_EMPTY)
    if report.refused:
        return report
    coming = count[Fate.NEW] + count[Fate.REPLACES]
    done = replace(report, accepted=coming, skipped=count[Fate.SKIPPED], replaced=count[Fate.REPLACES])
    if not dry_run:
        with tempfile.TemporaryFile() as aside:
            number = 0
            for number, chunk in enumerate(chunks(read()), start=1):  # noqa: B007  # counted
                set_aside(chunk, fates, report.batch, terms.now, aside)
            store(aside, number, done, list(seen.owners.items()), terms)
    return done


def chunks(rows: Rows) -> Iterator[list[Row | BadRow]]:
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


def set_aside(rows: list[Row | BadRow], fates: dict[int, Fate], batch: UUID, now: datetime, aside: IO[bytes]) -> None:
    """The rows that come in are in the temporary file as the database wants them: sealed; with them the serials that they
    replace. BadFile if one was good before and is not now."""
    good = [row for row in rows if isinstance(row, Row) and fates.get(row.number) is not Fate.SKIPPED]
    if any(isinstance(row, BadRow) for row in rows):
        raise BadFile(Why.FILE_CHANGED)
    replaced = [row.serial for row in good if row.number in fates]
    before = {old.serial: old for old in in_stock(replaced)} if replaced else {}
    fields, prepared = stored_fields(), []
    for row in good:
        made, old = device(row, batch, now), before.get(row.serial)
        if old is not None and old.secret_hash == made.secret_hash:  # or codes that were used would be good once more
            made.counter, made.drift = max(made.counter, old.counter), old.drift
        prepared.append(tuple(field.get_db_prep_save(getattr(made, field.attname), connection) for field in fields))
    pickle.dump((replaced, prepared), aside)


def in_stock(serials: list[str]) -> Any:
    """Those that lie in stock and are nobody's."""
    return Device.objects.filter(serial__in=serials, state=State.IN_STOCK, user=None)


def store(aside: IO[bytes], parts: int, report: Report, owners: list[tuple[str, int]], terms: Terms) -> None:
    """What was set aside is in stock, what it replaces is retired, and what is somebody's is handed out; BadFile, and nothing
    kept, where the stock is not what was judged."""
    names = ", ".join(connection.ops.quote_name(field.column) for field in stored_fields())
    places = ", ".join(["%s"] * len(stored_fields()))
    # bulk_create takes five times as long, with everybody waiting.
    sql = f"INSERT INTO {connection.ops.quote_name(Device._meta.db_table)} ({names}) VALUES ({places})"  # noqa: S608  # our own names
    aside.seek(0)
    try:
        with transaction.atomic():
            for _part in range(parts):
                replaced, prepared = pickle.load(aside)  # noqa: S301  # written by this process, and nobody else's
                if replaced and in_stock(replaced).update(state=State.RETIRED, **GONE) != len(replaced):
                    raise BadFile(Why.FILE_CHANGED)  # somebody has one of them meanwhile
                if prepared:
                    with connection.cursor() as cursor:
                        cursor.executemany(sql, prepared)
            for serial, person in owners:
                terms.hand_out(Device.objects.get(batch=report.batch, serial=serial), person)
            terms.done(report)
            more = {name: count for name in ("skipped", "replaced") if (count := getattr(report, name))}
            about = {"count": report.accepted, "format": report.file_format, "batch": str(report.batch), **more}
            record("tokens_imported", client=terms.client, actor=terms.actor, digest=report.digest, **about)
    except IntegrityError:  # somebody had the same serial or seed meanwhile
        raise BadFile(Why.FILE_CHANGED) from None


def take_out(batch: UUID, count: int) -> bool:
    """All `count` tokens of the batch are retired if each of them lies in stock and was never used, in one statement; False
    leaves the caller's transaction to be rolled back."""
    untouched = Device.objects.filter(batch=batch, state=State.IN_STOCK, user=None, last_used_at=None)
    return bool(untouched.update(state=State.RETIRED, **GONE) == count)
