"""Hardware from a seed file into the stock: all of it or nothing, seeds sealed on arrival, the file never kept."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from audit.events import OPERATOR, record
from devices import kinds, seed_files
from devices.kinds import Proof
from devices.lifecycle import State
from devices.models import Device
from devices.seed_files.rows import BadFile, BadRow, Row, Secret, Why
from mfa_site import keyring
from mfa_site.client import Client

BATCH = 500  # rows that are looked up, or written, at once
HERE = Client("", "", "")

OwnerOf = Callable[[str], int | None]  # the person of this name; None for nobody
Progress = Callable[[int], None]  # so many rows have been read


@dataclass
class Report:
    """What became of a file. Either nothing was `refused`, or nothing of it was kept."""

    format: str
    batch: UUID = field(default_factory=uuid4)
    accepted: int = 0
    refused: list[BadRow] = field(default_factory=list)


def import_file(
    file: BinaryIO,
    format: str,
    secret: Secret,
    *,
    owner_of: OwnerOf,
    now: datetime,
    dry_run: bool = False,
    progress: Progress = lambda count: None,
    actor: UUID = OPERATOR,
) -> Report:
    """The tokens of the file are in stock, or handed out to those whom the file names; a dry run only tells.

    The file is read twice: once to look at every row, which changes nothing, and, if none is refused, once to write them in one
    transaction. BadFile where it is refused as a whole.
    """
    report = Report(format)
    for row in looked_at(seed_files.read(file, format, secret), owner_of, now):
        if isinstance(row, BadRow):
            report.refused.append(row)
        else:
            report.accepted += 1
        progress(report.accepted + len(report.refused))
    if report.refused or dry_run:
        return report
    try:
        with transaction.atomic():
            rows = (row for row in seed_files.read(file, format, secret) if isinstance(row, Row))
            for some in batched(rows, BATCH):
                Device.objects.bulk_create([device(row, report.batch, owner_of, now) for row in some])
            batch, count, digest = str(report.batch), report.accepted, digest_of(file)
            record("tokens_imported", client=HERE, actor=actor, count=count, format=format, batch=batch, digest=digest)
    except IntegrityError:
        raise BadFile(Why.RACE) from None
    return report


def looked_at(rows: Iterable[Row | BadRow], owner_of: OwnerOf, now: datetime) -> Iterator[Row | BadRow]:
    """Each row, refused if it stands in the file twice, is here already, is over, or is for nobody."""
    serials: set[str] = set()
    seeds: set[bytes] = set()
    for some in batched(rows, BATCH):
        good = [row for row in some if isinstance(row, Row)]
        known, known_seeds = here(good)
        for row in some:
            why = None if isinstance(row, BadRow) else fault(row, known, known_seeds, serials, seeds, owner_of, now)
            yield BadRow(row.number, row.serial, why) if why else row


def batched(rows: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """The rows in tuples of so many, as Python 3.12 has it."""
    left = iter(rows)
    while some := tuple(islice(left, size)):
        yield some


def here(rows: list[Row]) -> tuple[set[str], set[str]]:
    """The serials and the hashes of seeds among these that the stock or somebody has."""
    kept = Device.objects.exclude(state=State.RETIRED)
    names, hashes = [row.serial for row in rows], [hash_of(row.seed) for row in rows]
    ids = [row.public_id for row in rows if row.public_id]
    serials = set(kept.filter(serial__in=names).values_list("serial", flat=True))
    by_id = set(kept.filter(public_id__in=ids).values_list("public_id", flat=True)) if ids else set()
    serials |= {row.serial for row in rows if row.public_id in by_id}
    return serials, set(kept.filter(secret_hash__in=hashes).values_list("secret_hash", flat=True))


def fault(
    row: Row,
    known: set[str],
    known_seeds: set[str],
    serials: set[str],
    seeds: set[bytes],
    owner_of: OwnerOf,
    now: datetime,
) -> Why | None:
    """Why the row cannot be kept; what it has is remembered for those that follow."""
    seed = hashlib.sha256(row.seed).digest()  # in memory, for as long as the file is read
    twice, seed_twice = row.serial in serials, seed in seeds
    serials.add(row.serial)
    seeds.add(seed)
    faults = [
        (Why.TWICE, twice),
        (Why.SEED_TWICE, seed_twice),
        (Why.KNOWN, row.serial in known),
        (Why.SEED_KNOWN, hash_of(row.seed) in known_seeds),
        (Why.EXPIRED, row.valid_until is not None and row.valid_until <= now),
        (Why.OWNER, bool(row.owner) and owner_of(row.owner) is None),
    ]
    return next((why for why, holds in faults if holds), None)


def device(row: Row, batch: UUID, owner_of: OwnerOf, now: datetime) -> Device:
    """The token as it is kept, not saved yet."""
    owner = owner_of(row.owner) if row.owner else None
    made = Device(
        user_id=owner,
        kind=row.kind,
        state=State.ASSIGNED if owner else State.IN_STOCK,
        serial=row.serial,
        model=row.model,
        batch=batch,
        secret_hash=hash_of(row.seed),
        digits=row.digits,
        period=row.period,
        algorithm=row.algorithm,
        public_id=row.public_id,
        counter=row.counter - 1 if row.kind == "hotp" else -1,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        created_at=now,
    )
    made.seed = row.seed
    if owner:
        made.name = kinds.module(row.kind).suggested_name(made, Proof())[:64]
    return made


def hash_of(seed: bytes) -> str:
    """The keyed hash by which a seed is found again."""
    return keyring.mac(seed, "seed")


def digest_of(file: BinaryIO) -> str:
    """SHA-256 of the file, so that one can tell later which it was."""
    file.seek(0)
    digest: Any = hashlib.sha256()
    while data := file.read(1024 * 1024):
        digest.update(data)
    return str(digest.hexdigest())
