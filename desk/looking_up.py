"""What an administrator asks the audit, in the words of the form or of the query, made exact; and names for what is found."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from audit.events import OPERATOR
from audit.models import Event
from audit.search import Sought
from devices.models import Device
from mfa_site.client import REQUEST_ID
from mfa_site.errors import Reason, Refused

LONGEST = 200  # characters of a value
ACT = re.compile(r"\A[a-z0-9_]{1,40}\*?\Z|\A\*\Z")
RESULT = re.compile(r"\A[A-Za-z0-9_]{1,40}\Z")
BEGINNING = re.compile(r"\A[0-9a-f.:]{1,45}\*\Z")
CONSOLE = "console"  # who works on the command line


def sought(given: Mapping[str, str]) -> Sought:
    """What is asked; Refused MALFORMED with the `field` and what is wrong with it. Empty values do not matter."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value := value.strip():
            try:
                found[name] = READ[name](value)
            except (ValueError, OverflowError):
                raise Refused(Reason.MALFORMED, field=name, detail=WRONG[name]) from None
    return Sought(**found)


def person(text: str) -> UUID:
    """By username or uuid; ValueError if there is nobody."""
    if uuid := uuid_of(text):
        return uuid
    named = User.objects.named(text)
    if named is None:
        raise ValueError
    return named.uuid


def actor(text: str) -> UUID:
    """As a person, or the command line."""
    return OPERATOR if text == CONSOLE else person(text)


def device(text: str) -> UUID:
    """By serial or uuid; ValueError if there is none. Of several that had the serial it is the newest."""
    if uuid := uuid_of(text):
        return uuid
    row = Device.objects.filter(serial=text.upper()).order_by("-id").first()
    if row is None:
        raise ValueError
    found: UUID = row.uuid
    return found


def uuid_of(text: str) -> UUID | None:
    """The uuid, if the text is one in its usual spelling."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None


def moment(text: str, whole_day: time = time.min) -> datetime:
    """A date or a time, in UTC unless it says otherwise; ValueError, OverflowError for anything else."""
    at = datetime.fromisoformat(text)
    if len(text) == len("2026-01-31"):
        at = datetime.combine(at.date(), whole_day)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def until(text: str) -> datetime:
    """As `moment`; a date is the end of that day, and a minute its own end."""
    at = moment(text, time.max)
    return at + timedelta(minutes=1, microseconds=-1) if re.fullmatch(r"[0-9-]{10}T[0-9]{2}:[0-9]{2}", text) else at


def address(text: str) -> str:
    """An address as the audit writes it, or the beginning of one and `*`."""
    return text.lower() if BEGINNING.match(text.lower()) else str(ipaddress.ip_address(text))


def matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    """The text, if it is of that form; ValueError otherwise."""

    def read(text: str) -> str:
        if not pattern.match(text):
            raise ValueError
        return text

    return read


def result(text: str) -> str:
    """done, refused, or the name of a reason in any case."""
    text = matching(RESULT)(text)
    return text.lower() if text.lower() in ("done", "refused") else text.upper()


READ: dict[str, Callable[[str], Any]] = {
    "person": person,
    "device": device,
    "actor": actor,
    "act": matching(ACT),
    "result": result,
    "address": address,
    "since": moment,
    "until": until,
    "request_id": matching(REQUEST_ID),
}
_NO_TIME = _("Enter a date, or a date and a time, as in 2026-01-31T08:00.")
WRONG = {
    "person": _("There is nobody by that name."),
    "device": _("There is no device with that serial."),
    "actor": _("There is nobody by that name."),
    "act": _("Enter an act, or the beginning of one and *, as in device_*."),
    "result": _("Enter done, refused or the name of a reason."),
    "address": _("Enter an address, or the beginning of one and *, as in 192.0.2.*"),
    "since": _NO_TIME,
    "until": _NO_TIME,
    "request_id": _("A request id has 8 to 64 letters, digits, dots and dashes."),
}


def names_of(events: Iterable[Event]) -> tuple[dict[UUID, str], dict[UUID, str]]:
    """What the people and the devices of these events are called, by uuid; of those who are gone nothing."""
    events = list(events)
    who = {uuid for event in events for uuid in (event.person, event.actor) if uuid}
    what = {event.device for event in events if event.device}
    people = dict(User.objects.filter(uuid__in=who).values_list("uuid", "username")) if who else {}
    rows = Device.objects.filter(uuid__in=what).values_list("uuid", "name", "serial") if what else []
    return people, {uuid: f"{name} ({serial})" if name and serial else name or serial for uuid, name, serial in rows}
