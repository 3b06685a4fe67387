"""One's own sessions: browsers that are signed in and programs that hold tokens, in one list; ending them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts import policy
from accounts.models import BrowserSession, User
from accounts.user_agents import in_words
from audit.events import record
from devices.models import Device
from grants import refresh
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

ENDED = "ended_by_person"


@dataclass(frozen=True)
class Session:
    """A browser session or a refresh family that is alive. `device` is the name of the one that opened it."""

    uuid: UUID
    type: Literal["browser", "token"]
    client: str
    device: str | None
    address: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool


def listed(user: User, current: UUID, now: datetime) -> list[Session]:
    """The person's sessions that are alive, oldest first; `current` is the sid of the one that asks."""
    living = BrowserSession.living(user, now)
    names: dict[UUID, str] = dict(Device.objects.filter(user=user).values_list("uuid", "name"))
    found = [
        Session(
            row.uuid,
            "browser",
            in_words(row.user_agent),
            row.device.name if row.device else None,
            row.address,
            row.created_at,
            row.last_seen_at,
            row.expires_at,
            row.uuid == current,
        )
        for row in BrowserSession.objects.filter(living).select_related("device")
    ]
    found += [
        Session(
            family.uuid,
            "token",
            in_words(family.user_agent),
            names.get(family.device) if family.device else None,
            family.address,
            family.created_at,
            family.last_used_at or family.created_at,
            family.expires_at,
            family.uuid == current,
        )
        for family in refresh.of(user.uuid, now).filter(policy.behind_a_family())
    ]
    return sorted(found, key=lambda session: (session.created_at, session.uuid))


def end(user: User, uuid: UUID, client: Client, now: datetime) -> None:
    """The person's session is ended; Refused NOT_FOUND for one that is over, unknown or somebody else's."""
    with transaction.atomic():
        ended = BrowserSession.end(BrowserSession.living(user, now) & Q(uuid=uuid), ENDED, now)
        if not ended and not refresh.end(refresh.living(now) & Q(uuid=uuid, person=user.uuid), ENDED, now):
            raise Refused(Reason.NOT_FOUND)
        record("session_ended", client=client, person=user.uuid, sid=uuid)


def end_others(user: User, current: UUID, client: Client, now: datetime) -> int:
    """Every session of the person but the current one is ended; how many were."""
    with transaction.atomic():
        ended = policy.end_everything(user, ENDED, now, but=current)
        if ended:
            record("sessions_ended", client=client, person=user.uuid, sid=current, ended=ended)
    return ended
