"""Audit events in the words of somebody who reads those of others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import activity
from accounts.user_agents import in_words
from audit.events import OPERATOR
from audit.models import Event
from desk.looking_up import names_of

# Where the words for the person are no words for others: `accounts.activity` has all the rest.
SENTENCES: dict[str, str | Promise] = {
    "audit_exported": gettext_lazy("The audit was exported"),
    "audit_gap_acknowledged": gettext_lazy("A gap in the audit was compared with the log and acknowledged"),
    "device_handed_out": gettext_lazy("%(device)s was handed out"),
    "device_taken_back": gettext_lazy("%(device)s was taken back"),
    "notice_given_up": gettext_lazy("A mail could not be delivered"),
    "person_changed": gettext_lazy("The name or e-mail address was changed"),
    "person_disabled": gettext_lazy("The account was disabled"),
    "tokens_imported": gettext_lazy("A token file was imported"),
}


@dataclass(frozen=True)
class Line:
    """One event to read: ids for the links, empty names for who is gone."""

    event: Event
    at: datetime
    what: str
    why: str
    person: str
    actor: str
    device: str
    address: str
    program: str


def lines(events: Iterable[Event]) -> list[Line]:
    """The events in words, with the names that people and devices have now."""
    events = list(events)
    people, devices = names_of(events)
    return [line(event, people, devices) for event in events]


def line(event: Event, people: Mapping[UUID, str], devices: Mapping[UUID, str]) -> Line:
    """One event in words."""
    where, name = event.personal or {}, devices.get(event.device, "") if event.device else ""
    return Line(
        event=event,
        at=event.at,
        what=what(event.act, name),
        why=why(event.reason),
        person=who(event.person, people),
        actor=who(event.actor, people),
        device=name or (str(event.device) if event.device else ""),
        address=where.get("address", ""),
        program=in_words(where["user_agent"]) if where.get("user_agent") else "",
    )


def what(act: str, device: str = "") -> str:
    """The act in words; one that has none by its own name."""
    sentence = SENTENCES.get(act) or activity.SENTENCES.get(act) or act.replace("_", " ").replace("%", "%%")
    said = str(sentence) % {"device": f"“{device}”" if device else _("a device")}
    return said[:1].upper() + said[1:]


def why(reason: str) -> str:
    """The reason's name in letters that are easy to read."""
    return reason.replace("_", " ").lower()


def who(uuid: UUID | None, people: Mapping[UUID, str]) -> str:
    """A person's name, their uuid when they are gone, "console" for the command line; empty for nobody."""
    if uuid is None:
        return ""
    return _("console") if uuid == OPERATOR else people.get(uuid, str(uuid))
