"""Checking the audit: every event, every seal, every gap between the ids, and the last head that was logged.

One walk upwards through seals and events together, in batches: a million rows need no more memory than a thousand.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from audit import ids, seals
from audit.events import is_genuine, is_genuine_old
from audit.gaps import ACKNOWLEDGED, Range, minus
from audit.models import Event, Seal
from audit.seals import Span
from mfa_site.keyring import CannotOpen

BATCH = 1000  # rows read at once
LOOSE = ("uuid", "at", "actor", "person", "device", "sid", "about", "personal")  # which SQLite keeps as text of any spelling
UNREADABLE = (ValueError, TypeError, AttributeError)  # what a value of a wrong kind in a row raises when it is read

Row = TypeVar("Row", Event, Seal)

SENTENCES = {
    "changed": "is not as it was written, or not under the id it was written with",
    "unreadable": "cannot be read",
    "old_form": "has the form of the first version, after events of the present one",
    "removed": "was removed after it had been sealed",
    "added": "was not there when its place was sealed",
    "missing": "is not there: never committed, or removed before it was sealed; compare with the log, then --acknowledge",
    "never_taken": "has an id that the database never gave out",
    "busy": "may still be written: a transaction does not end; verify again",
    "seal_changed": "is not as it was written, or not signed by this key",
    "seal_missing": "is not there",
    "seal_order": "does not follow the seal before it",
    "seal_events": "does not fit its events, though each alone looks right",
    "head": "is in no seal: the end was cut off, or the head is of another service",
}


@dataclass
class Finding:
    """One thing that is wrong: `what` (a key of SENTENCES) and which events or seals, by first and last number."""

    what: str
    first: int
    last: int
    note: str = ""

    def __str__(self) -> str:
        thing = "head" if self.what == "head" else "seal" if self.what.startswith("seal") else "event"
        which = (
            self.note if self.what == "head" else f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        )
        return f"{thing} {which} {SENTENCES[self.what]}{f' ({self.note})' if self.note and self.what != 'head' else ''}"


@dataclass
class Report:
    """What a verification saw; the audit is genuine if there are no findings. Acknowledged gaps are none."""

    findings: list[Finding] = field(default_factory=list)
    acknowledged: list[Range] = field(default_factory=list)
    events: int = 0
    unsealed: int = 0
    erased: int = 0
    seals: int = 0
    head: str = ""

    def found(self, what: str, first: int, last: int | None = None, note: str = "") -> None:
        """One more finding; one that goes on where the last one ended is joined to it."""
        end = self.findings[-1] if self.findings else None
        if end and (end.what, end.last + 1, end.note) == (what, first, note):
            end.last = last or first
        else:
            self.findings.append(Finding(what, first, last or first, note))


def verify(key: Ed25519PublicKey, head: str = "") -> Report:
    """Everything that was there when it began is checked; `head`: the hash of a seal that must be there."""
    return Walk(key).all(head)


class Walk:
    """One verification in progress: where it stands among the ids, and what it saw."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self.key, self.report = key, Report()
        self.next = 1  # the id that is due
        self.has_new_form = False
        self.gaps: list[Range] = []  # ids that are not there, and of which no seal says that they were
        self.named: list[Range] = []  # the gaps that operators acknowledged

    def all(self, head: str) -> Report:
        """Seals with their events, then the events that no seal covers, then the gaps."""
        last_seal = Seal.objects.order_by("-number").values_list("number", flat=True).first() or 0
        highest = ids.settled(ids.PATIENCE)
        if highest is None:
            highest = ids.taken()
            self.report.found("busy", highest)
        top = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
        if top > (taken := ids.taken()):
            self.report.found("never_taken", taken + 1, top)
            highest = top
        self.events = read(Event, highest)
        self.event = next(self.events, None)
        has_head = self._seals(last_seal, head)
        sealed = self.report.events
        self._loose(highest)
        self.report.unsealed = self.report.events - sealed
        self._judge_gaps()
        if head and not has_head:
            self.report.found("head", 0, note=head)
        return self.report

    def _seals(self, last: int, head: str) -> bool:
        """Every seal is checked, with its events if it is what it was; whether one of those has the head."""
        has_head, before, number = False, None, 0
        for key, seal in read(Seal, last):
            if key > number + 1:
                self.report.found("seal_missing", number + 1, key - 1)
            joined, number = key == number + 1 and (before is not None or number == 0), key
            if seal is None or seals.hash_of(seal) != seal.hash or not seals.is_signed(seal, self.key):
                self.report.found("seal_changed", key)
                before = None
                continue
            if seal.first < self.next or (
                joined and (seal.first > self.next or seal.previous != (before.hash if before else ""))
            ):
                self.report.found("seal_order", key)
                before = None
                continue
            self._loose(seal.first - 1)
            self._sealed(seal)
            has_head = has_head or seal.hash == head
            before = seal
            self.report.seals, self.report.head = self.report.seals + 1, seal.hash
        return has_head

    def _sealed(self, seal: Seal) -> None:
        """The events of a seal, which is what it was: each is what it was, and those that were there are there."""
        span, whole = self._span(seal.last)
        absent = [(first, last) for first, last in seal.missing]
        removed, added = minus(span.missing, absent), minus(absent, span.missing)
        for what, ranges in (("removed", removed), ("added", added)):
            for first, last in ranges:
                self.report.found(what, first, last, f"seal {seal.number}")
        if whole and not removed and not added and span.digest.hexdigest() != seal.events:
            self.report.found("seal_events", seal.number)
        self.gaps += minus(span.missing, removed)

    def _loose(self, upto: int) -> None:
        """The events up to this id that no seal covers: each is what it was."""
        if upto >= self.next:
            self.gaps += self._span(upto)[0].missing

    def _span(self, upto: int) -> tuple[Span, bool]:
        """The events up to this id, walked, and whether each alone is what it was."""
        span, whole = Span(self.next), True
        while self.event is not None and self.event[0] <= upto:
            id, event = self.event
            self.report.events += 1
            if event is None:
                self.report.found("unreadable", id)
            if event is None or not self._is_right(event):
                whole = False
                span.skip(id)
            else:
                span.add(event)
            self.event = next(self.events, None)
        span.skip_to(upto + 1)
        self.next = upto + 1
        return span, whole

    def _is_right(self, event: Event) -> bool:
        if what := self._judge(event):
            self.report.found(what, event.id)
            return False
        self.report.erased += event.personal is None
        if event.act == ACKNOWLEDGED:
            self.named.append((event.about["first"], event.about["last"]))
        return True

    def _judge(self, event: Event) -> str:
        try:
            if not is_spelled_as_written(event):
                return "changed"
            if is_genuine(event):
                self.has_new_form = True
                return ""
            old = is_genuine_old(event)
        except (CannotOpen, *UNREADABLE):
            return "changed"
        return "" if old and not self.has_new_form else "old_form" if old else "changed"

    def _judge_gaps(self) -> None:
        unnamed = minus(self.gaps, sorted(self.named))
        for first, last in unnamed:
            self.report.found("missing", first, last)
        self.report.acknowledged = minus(self.gaps, unnamed)


def is_spelled_as_written(event: Event) -> bool:
    """Whether the columns hold the very text that was written.

    SQLite keeps a uuid, a time and JSON as any text that reads as the same value, but looks rows up by the text itself.
    """
    columns = ((column, getattr(event, f"raw_{column.name}", None)) for column in Event._meta.fields)
    return all(
        raw is None or raw == str(column.get_db_prep_value(getattr(event, column.name), connection)) for column, raw in columns
    )


def read(model: type[Row], upto: int) -> Iterator[tuple[int, Row | None]]:
    """Every row by its key up to this one, in batches; None for a row whose values cannot be read."""
    rows = model._default_manager.filter(pk__lte=upto).order_by("pk")
    if model is Event and connection.vendor == "sqlite":
        rows = rows.annotate(**{f"raw_{name}": Cast(name, TextField()) for name in LOOSE})
    batch = rows[:BATCH]
    while keys := list(batch.values_list("pk", flat=True)):
        try:
            found: dict[int, Row | None] = {row.pk: row for row in batch}
        except UNREADABLE:
            found = {key: _one(rows, key) for key in keys}
        for key in keys:
            if key in found:
                yield key, found[key]
        batch = rows.filter(pk__gt=keys[-1])[:BATCH]


def _one(rows: QuerySet[Row], key: int) -> Row | None:
    try:
        return rows.filter(pk=key).first()
    except UNREADABLE:
        return None
