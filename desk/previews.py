"""A token file is looked at: every row is judged, nothing comes into the stock, and what it takes to import it is kept sealed.

The file was in the memory of one request and is nowhere any more: a temporary file would leave its keys in clear on a disk,
deleted or not.
"""

import csv
import io
import itertools
import json
import operator
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from django.utils.translation import gettext as _

from accounts.models import User
from desk.models import Batch, Part
from desk.owners import People
from devices import seed_files, stock
from devices.judging import Fate, Seen, Verdict, judged
from devices.seed_files import LARGEST_UPLOAD, BadFile, Row, Secret, Why, values
from mfa_site import keyring
from mfa_site.errors import Reason, Refused

LIFE = timedelta(minutes=15)  # to read a preview and decide; then it has to be uploaded again
PAGE = 100  # rows of a part
KEPT_FOR = timedelta(days=7)  # how long the report of an import can be fetched
ROW = tuple(Row.__dataclass_fields__)
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def look(file: BinaryIO, name: str, file_format: str, secret: Secret, user: User, now: datetime) -> Batch:
    """The batch, with every row judged: parts that can be imported for a quarter of an hour unless a row is refused. BadFile,
    with nothing kept, where the file is refused as a whole. `file_format` may be empty: what the file begins with tells."""
    digest = stock.digest_of(file, LARGEST_UPLOAD)
    file.seek(0)
    found = file_format or seed_files.detect(file.read(seed_files.HEAD))
    batch = Batch(by=user.uuid, file_name=cleaned(name), digest=digest, file_format=found, expires_at=now + LIFE)
    batch.save(force_insert=True)
    try:
        keep(batch, file, secret, user, now)
        if not batch.new + batch.existing + batch.refused:
            raise BadFile(Why.FILE_EMPTY)
    except BaseException:
        batch.delete()
        raise
    counts = {name: getattr(batch, name) for name in ("new", "existing", "unfit", "refused")}
    batch.move(Batch.State.READING, Batch.State.PREVIEWED, **counts)
    return batch


def cleaned(name: str) -> str:
    """A file's name without its folders, without what cannot be printed, and without the beginning of a formula."""
    last = re.split(r"[\\/]", name)[-1]
    return "".join(c for c in last if c.isprintable()).lstrip(" =+-@")[:100]


def keep(batch: Batch, file: BinaryIO, secret: Secret, user: User, now: datetime) -> None:
    """The rows are in parts of the batch, which counts them. Once one is refused, no key is kept."""
    seen, people = Seen(), People(user)
    waiting: dict[Part.Fate, list[Verdict]] = {fate: [] for fate in Part.Fate}
    for chunk in stock.chunks(seed_files.read(file, batch.file_format, secret, LARGEST_UPLOAD)):
        for verdict in judged(chunk, seen, people.find, now):
            waiting[fate_of(verdict)].append(verdict)
        for fate, rows in waiting.items():
            full = len(rows) - len(rows) % PAGE
            write(batch, fate, rows[:full])
            del rows[:full]
    for fate, rows in waiting.items():
        write(batch, fate, rows)
    if batch.refused:
        batch.parts.exclude(sealed="").update(sealed="")


def fate_of(verdict: Verdict) -> Part.Fate:
    """Where the row stands in the preview."""
    if verdict.fate is not Fate.REFUSED:
        return Part.Fate.NEW
    return Part.Fate.EXISTING if verdict.why is Why.SERIAL_KNOWN else Part.Fate.REFUSED


def write(batch: Batch, fate: Part.Fate, rows: list[Verdict]) -> None:
    """These rows are in the database, sealed where they may come in."""
    name = fate.name.lower()
    setattr(batch, name, getattr(batch, name) + len(rows))
    batch.unfit += sum(verdict.unfit is not None for verdict in rows)
    parts = []
    for start in range(0, len(rows), PAGE):
        some = rows[start : start + PAGE]
        part = Part(batch=batch, fate=fate, shown=[shown(verdict) for verdict in some], expires_at=batch.created_at + LIFE)
        if not batch.refused:
            part.sealed = keyring.seal(packed([verdict.row for verdict in some]), *place(part))
        parts.append(part)
    Part.objects.bulk_create(parts, batch_size=PAGE)


def place(part: Part) -> tuple[str, str, object]:
    """Where its rows are sealed for."""
    return Part._meta.db_table, "sealed", part.uuid


def shown(verdict: Verdict) -> dict[str, Any]:
    """What people see of a row: never its key."""
    row, why = verdict.row, verdict.unfit or verdict.why
    told: dict[str, Any] = {"row": row.number, "serial": verdict.refusal.serial if why else row.serial}
    if isinstance(row, Row):
        moves = {"totp": {"period": row.period}, "hotp": {"counter": row.counter}}.get(row.kind, {})
        told |= {"kind": row.kind, "owner": values.unless_a_key(row.owner), **moves}
        if row.kind != "yubiotp":
            told |= {"digits": row.digits, "algorithm": row.algorithm}
    return {**told, "why": why.name} if why else told


def packed(rows: list[Any]) -> bytes:
    """The rows as JSON, keys in hexadecimal."""
    return json.dumps([[getattr(row, name) for name in ROW] for row in rows], default=_plain).encode()


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else value.isoformat()


def opened(part: Part) -> Iterator[Row]:
    """The rows of the part, with their keys; keyring.CannotOpen."""
    for told in json.loads(keyring.unseal(part.sealed, *place(part))):
        row = dict(zip(ROW, told, strict=True))
        dates = {name: datetime.fromisoformat(row[name]) for name in ("valid_from", "valid_until") if row[name]}
        yield Row(**{**row, **dates, "seed": bytes.fromhex(row["seed"])})


def page(batch: Batch, number: int) -> tuple[Part | None, int]:
    """The part of this number from 1, refused rows first, and how many there are; Refused NOT_FOUND beyond the last one."""
    count = batch.parts.count()
    if not 1 <= number <= max(count, 1):
        raise Refused(Reason.NOT_FOUND)
    return batch.parts.defer("sealed").order_by("fate", "pk")[number - 1 : number].first(), count


def outcome(batch: Batch, fate: int) -> str:
    """What became of rows like these, or what they are."""
    if fate == Part.Fate.EXISTING and batch.state == Batch.State.DONE:
        return _("Replaced") if batch.choice == "replace" else _("Skipped")
    return str(Part.Fate(fate).label)


def report(batch: Batch) -> Iterator[str]:
    """The rows that were refused or there already as CSV, line by line: no key, and nothing that a spreadsheet computes."""
    yield line([_("Row"), _("Serial"), _("Result"), _("Reason")])
    for part in _parts(batch, fate__lt=Part.Fate.NEW):
        result = outcome(batch, part.fate)
        for row in part.shown:
            yield line([row["row"], row["serial"], result, Why[row["why"]].sentence])


def line(cells: list[Any]) -> str:
    """A line of CSV; what could be a formula is marked as text."""
    out, told = io.StringIO(), [str(cell) for cell in cells]
    csv.writer(out).writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in told])
    return out.getvalue()


def refusals(batch: Batch, fates: list[Part.Fate], most: int, *, unfit: bool) -> list[dict[str, Any]]:
    """The first rows of these fates in the order of the file, as the API tells them; `unfit`: of serials that are known only
    those that cannot be replaced, and why not."""
    told: list[dict[str, Any]] = []
    for fate in fates:
        rows = (row for part in _parts(batch, fate=fate) for row in part.shown)
        known = fate is Part.Fate.EXISTING
        wanted = (row for row in rows if not (known and unfit and row["why"] == Why.SERIAL_KNOWN.name))
        for row in itertools.islice(wanted, most):
            why = row["why"] if unfit or not known else Why.SERIAL_KNOWN.name
            told.append({"row": row["row"], "serial": row["serial"], "reason": why.lower()})
    return sorted(told, key=operator.itemgetter("row"))[:most]


def _parts(batch: Batch, **which: Any) -> Iterator[Part]:
    """These parts in their order, without what is sealed, some at a time."""
    return batch.parts.defer("sealed").filter(**which).order_by("fate", "pk").iterator(chunk_size=10)
