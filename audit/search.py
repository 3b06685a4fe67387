"""Finding events: who, what, how it ended, from where and when. Newest first, and never more than a part of the table at once.

One value leads, the one that few events have, and its index gives them by time. The other values are looked for among the next
LOOKED_AT of those, so that a look takes bounded time whatever is sought; where nothing was found, the next look goes on behind.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from audit.models import Address, Event
from mfa_site.errors import Reason, Refused

LOOKED_AT = 20_000
AT_ONCE = 1000  # events in memory while all of them are walked
LEADING = ("request_id", "device", "person", "address", "actor", "act")  # fewest events first
NEWEST = ("-at", "-id")
DONE, REFUSED = "done", "refused"


@dataclass(frozen=True)
class Sought:
    """What an event has to be; None and "" for what does not matter. `act` and `address` may end in `*`: they begin so.
    `result`: done, refused (it has a reason), or the name of the reason."""

    person: UUID | None = None
    device: UUID | None = None
    actor: UUID | None = None
    act: str = ""
    result: str = ""
    address: str = ""
    since: datetime | None = None
    until: datetime | None = None
    request_id: str = ""

    @property
    def given(self) -> dict[str, str]:
        """The values that matter, as text."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value.isoformat() if isinstance(value, datetime) else str(value) for name, value in told.items() if value}


@dataclass(frozen=True)
class Found:
    """Events, the newest first. `last`: the event behind which to go on, None at the end; `looked_to`: when it was."""

    events: list[Event]
    last: UUID | None = None
    looked_to: datetime | None = None


def look(sought: Sought, most: int, after: UUID | None = None) -> Found:
    """At most this many of the events, from behind that one on; Refused MALFORMED if there is no such event."""
    rows, rest = _led(sought)
    if after is not None:
        rows = rows.filter(_older(_place(after)))
    edge = _row(rows, LOOKED_AT - 1) if rest else None
    if edge is not None:
        rows = rows.filter(at__gte=edge.at).exclude(at=edge.at, id__lt=edge.id)
    events = list(_narrowed(rows, rest)[: most + 1])
    if len(events) > most:
        return Found(events[:most], events[most - 1].uuid, events[most - 1].at)
    return Found(events) if edge is None else Found(events, edge.uuid, edge.at)


def every(sought: Sought) -> Iterator[Event]:
    """All of the events, the newest first, with AT_ONCE of them in memory."""
    found = look(sought, AT_ONCE)
    yield from found.events
    while found.last is not None:
        found = look(sought, AT_ONCE, found.last)
        yield from found.events


def how_many(sought: Sought, most: int, looks: int) -> int:
    """How many events there are; Refused MALFORMED for more than `most`, or if so many looks do not come to the end."""
    rows, rest = _led(sought)
    count, edge = 0, None
    for _look in range(looks if rest else 1):
        part = rows.filter(_older(edge)) if edge else rows
        edge = _row(part, LOOKED_AT - 1) if rest else None
        if edge is not None:
            part = part.filter(at__gte=edge.at).exclude(at=edge.at, id__lt=edge.id)
        count += _narrowed(part, rest)[: most + 1 - count].count()
        if count > most:
            break
        if edge is None:
            return count
    raise Refused(Reason.MALFORMED, detail=_("Too many events. Narrow the search, for instance by time."))


def until_now(sought: Sought, now: datetime) -> Sought:
    """The same without what is still to come, which would be found in one look and not in the next."""
    return replace(sought, until=min(sought.until or now, now))


def _led(sought: Sought) -> tuple[QuerySet[Event], dict[str, Any]]:
    """The events by the leading value and by time, newest first; and the values that are not looked at yet."""
    rows = Event.objects.order_by(*NEWEST)
    if sought.since:
        rows = rows.filter(at__gte=sought.since)
    if sought.until:
        rows = rows.filter(at__lte=sought.until)
    rest = {name: value for name in (*LEADING, "result") if (value := getattr(sought, name))}
    leading = next((name for name in LEADING if name in rest and not str(rest[name]).endswith("*")), None)
    if leading:
        rows = rows.alias(leads=Address()) if leading == "address" else rows
        rows = rows.filter(**{"leads" if leading == "address" else leading: rest.pop(leading)})
    return rows, rest


def _narrowed(rows: QuerySet[Event], rest: dict[str, Any]) -> QuerySet[Event]:
    """With the values that do not lead. No index begins with COALESCE, so the database cannot choose another one to lead."""
    for name, value in rest.items():
        if name == "result":
            rows = (
                rows.filter(reason="")
                if value == DONE
                else rows.exclude(reason="")
                if value == REFUSED
                else rows.filter(reason=value)
            )
            continue
        column = Address() if name == "address" else name
        rows = rows.alias(**{f"its_{name}": Coalesce(column, column)})
        begins = isinstance(value, str) and value.endswith("*")
        rows = rows.filter(**{f"its_{name}__startswith": value[:-1]} if begins else {f"its_{name}": value})
    return rows


def _older(event: Event) -> Q:
    """What comes behind this event."""
    return Q(at__lte=event.at) & ~Q(at=event.at, id__gte=event.id)


def _row(rows: QuerySet[Event], number: int) -> Event | None:
    """The row of that number, with what `look` needs of it."""
    return next(iter(rows.only("id", "at", "uuid")[number : number + 1]), None)


def _place(uuid: UUID) -> Event:
    found = Event.objects.only("id", "at").filter(uuid=uuid).first()
    if found is None:
        raise Refused(Reason.MALFORMED)
    return found
