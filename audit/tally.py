"""Counting what happened, day by day: sealed events, each once."""

from collections import Counter
from datetime import UTC, date, datetime

from django.db import transaction

from audit.models import Event, Seal, Tallied, Tally

AT_ONCE = 10  # seals in one transaction

Key = tuple[date, str, str, str]


def count(now: datetime) -> int:
    """The next sealed events are counted; how many those are. A chore of the worker. Of two workers one counts a seal."""
    upto, _created = Tallied.objects.get_or_create(pk=1)
    seals = list(Seal.objects.filter(number__gt=upto.seal).order_by("number").values_list("number", "first", "last")[:AT_ONCE])
    if not seals:
        return 0
    with transaction.atomic():
        if not Tallied.objects.filter(pk=1, seal=upto.seal).update(seal=seals[-1][0]):
            return 0
        found = _of(seals[0][1], seals[-1][2])
        _add(found)
    return found.total()


def _of(first: int, last: int) -> Counter[Key]:
    """How many events of each there are among these ids."""
    rows = Event.objects.filter(id__gte=first, id__lte=last).values_list("at", "act", "about__kind", "reason")
    return Counter((at.astimezone(UTC).date(), act, str(kind or "")[:12], reason) for at, act, kind, reason in rows.iterator())


def _add(found: Counter[Key]) -> None:
    """The counts are added to those of before; the row of `Tallied` keeps everybody else out."""
    days = {key[0] for key in found}
    before = {(row.day, row.act, row.kind, row.reason): row.events for row in Tally.objects.filter(day__in=days)}
    rows = [
        Tally(day=day, act=act, kind=kind, reason=reason, events=n + before.get((day, act, kind, reason), 0))
        for (day, act, kind, reason), n in sorted(found.items())
    ]
    Tally.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["day", "act", "kind", "reason"], update_fields=["events"]
    )
