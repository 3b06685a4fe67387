"""Ids that are not there: ranges of them, and what an operator says of those that were compared with the log."""

from audit import ids
from audit.events import record
from audit.models import Event, Seal
from mfa_site.client import Client

ACKNOWLEDGED = "audit_gap_acknowledged"  # the event of an acknowledgement, about its `first` and `last` id

Range = tuple[int, int]


class NoGap(Exception):
    """Of these ids some are there, were never taken, or were removed after they had been sealed."""


def acknowledge(first: int, last: int, client: Client) -> None:
    """An event says that these missing ids were compared with the log; NoGap unless each may never have been committed."""
    highest = ids.settled(ids.PATIENCE)
    if highest is None or not 1 <= first <= last <= highest or Event.objects.filter(id__gte=first, id__lte=last).exists():
        raise NoGap
    over = list(Seal.objects.filter(first__lte=last, last__gte=first).order_by("number"))
    unsealed = minus([(first, last)], [(seal.first, seal.last) for seal in over])
    sealed_as_missing = [(a, b) for seal in over for a, b in seal.missing]
    if minus(minus([(first, last)], unsealed), sealed_as_missing):
        raise NoGap
    record(ACKNOWLEDGED, client=client, first=first, last=last)


def minus(ranges: list[Range], others: list[Range]) -> list[Range]:
    """What of the ranges is in none of the others; all sorted."""
    left = []
    for first, last in ranges:
        for a, b in others:
            if b < first or a > last:
                continue
            if a > first:
                left.append((first, a - 1))
            first = b + 1
        if first <= last:
            left.append((first, last))
    return left
