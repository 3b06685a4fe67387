"""Which rows of a seed file can come into the stock, and what keeps the others out."""

import enum
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from devices.lifecycle import State
from devices.models import Device
from devices.seed_files import BadRow, Row, Why, values
from mfa_site import keyring

SHORTEST, LONGEST = 14, 64  # bytes; NIST SP 800-63B wants 112 bits, and HMAC-SHA-512 makes use of no more than 1024

OwnerOf = Callable[[str], int | Why]  # the key of the one person of this name, or why it cannot be theirs


class Existing(enum.StrEnum):
    """What becomes of a row whose serial a device has already."""

    REFUSE = "refuse"
    SKIP = "skip"
    REPLACE = "replace"  # the device is retired, if it is in stock


class Fate(enum.StrEnum):
    """What becomes of a row."""

    NEW = "new"
    REPLACES = "replaces"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row and what becomes of it. `why`: what keeps it out; `unfit`: of a serial that is known, what keeps it from being
    replaced."""

    row: Row | BadRow
    fate: Fate
    why: Why | None = None
    unfit: Why | None = None

    @property
    def refusal(self) -> BadRow:
        """The row as a report names it: a serial that may be a key in the wrong column is not shown."""
        return BadRow(self.row.number, values.shown(self.row.serial), self.why or Why.MALFORMED)


@dataclass
class Seen:
    """What the rows of this file have had so far; hashes of it, and whose the tokens are to be, by their serials."""

    serials: set[int] = field(default_factory=set)
    seeds: set[int] = field(default_factory=set)
    public_ids: set[int] = field(default_factory=set)
    owners: dict[str, int] = field(default_factory=dict)


@dataclass
class _Known:
    """What devices have that are not retired: states by serials; serials by hashed seeds and by public ids."""

    states: dict[str, str]
    seeds: dict[str, str]
    public_ids: dict[str, str]


def seed_hash(row: Row) -> str:
    """The keyed hash by which a seed is found again."""
    return keyring.mac(row.seed, "seed")


def judged(
    rows: list[Row | BadRow], seen: Seen, owner_of: OwnerOf, now: datetime, existing: Existing = Existing.REFUSE
) -> Iterator[Verdict]:
    """What becomes of each row."""
    hashes = {row.number: seed_hash(row) for row in rows if isinstance(row, Row)}
    known = _known([row for row in rows if isinstance(row, Row)], list(hashes.values()))
    for row in rows:
        if isinstance(row, BadRow):
            yield Verdict(row, Fate.REFUSED, row.reason)
            continue
        hashed = hashes[row.number]
        why = why_not(row, now) or twice(row, hashed, seen)
        if why is None and row.serial in known.states:
            verdict = _existing(row, hashed, known, existing)
        else:
            why = why or _elsewhere(row, hashed, known)
            verdict = Verdict(row, Fate.REFUSED if why else Fate.NEW, why)
        yield _owned(verdict, row, seen, owner_of)


def _known(rows: list[Row], hashes: list[str]) -> _Known:
    """What there is already of what these rows bring."""
    live = Device.objects.exclude(state=State.RETIRED)
    serials, public_ids = [row.serial for row in rows], [row.public_id for row in rows if row.public_id]
    return _Known(
        dict(live.filter(serial__in=serials).values_list("serial", "state")),
        dict(live.filter(secret_hash__in=hashes).values_list("secret_hash", "serial")),
        dict(live.filter(public_id__in=public_ids).values_list("public_id", "serial")),
    )


def why_not(row: Row, now: datetime) -> Why | None:
    """What keeps this token out by itself."""
    if len(row.seed) < SHORTEST:
        return Why.SEED_TOO_SHORT
    if len(row.seed) > LONGEST:
        return Why.SEED_TOO_LONG
    if row.valid_until is not None and row.valid_until <= now:
        return Why.EXPIRED
    return None


def twice(row: Row, hashed: str, seen: Seen) -> Why | None:
    """Whether an earlier row of the file has the same; from now on this one is an earlier one."""
    found = None
    places = ((seen.serials, row.serial, Why.SERIAL_TWICE), (seen.seeds, hashed, Why.SEED_TWICE))
    for numbers, value, why in (*places, (seen.public_ids, row.public_id, Why.PUBLIC_ID_TWICE)):
        if value:
            short = int.from_bytes(hashlib.sha256(value.encode()).digest()[:8])  # 64 bits: small, and as good as never alike
            found = found or (why if short in numbers else None)
            numbers.add(short)
    return found


def _elsewhere(row: Row, hashed: str, known: _Known) -> Why | None:
    """Whether a device of another serial has the same key or public id."""
    if known.seeds.get(hashed, row.serial) != row.serial:
        return Why.SEED_KNOWN
    return Why.PUBLIC_ID_KNOWN if known.public_ids.get(row.public_id, row.serial) != row.serial else None


def _existing(row: Row, hashed: str, known: _Known, existing: Existing) -> Verdict:
    """What becomes of a row whose serial a device has."""
    unfit = Why.NOT_IN_STOCK if known.states[row.serial] != State.IN_STOCK else _elsewhere(row, hashed, known)
    if existing is Existing.SKIP:
        return Verdict(row, Fate.SKIPPED, Why.SERIAL_KNOWN, unfit)
    if existing is Existing.REPLACE:
        return Verdict(row, Fate.REFUSED if unfit else Fate.REPLACES, unfit, unfit)
    return Verdict(row, Fate.REFUSED, Why.SERIAL_KNOWN, unfit)


def _owned(verdict: Verdict, row: Row, seen: Seen, owner_of: OwnerOf) -> Verdict:
    """Whose a token that comes in is to be is noted; refused if it cannot be theirs."""
    if not row.owner or verdict.fate not in (Fate.NEW, Fate.REPLACES):
        return verdict
    found = owner_of(row.owner)
    if isinstance(found, Why):
        return Verdict(row, Fate.REFUSED, found)
    seen.owners[row.serial] = found
    return verdict
