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
from grants.models import RefreshFamily
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
    browsers = BrowserSession.objects.filter(BrowserSession.living(user, now)).select_related("device")
    families = refresh.of(user.uuid, now).filter(policy.behind_a_family())
    names: dict[UUID, str] = dict(Device.objects.filter(user=user).values_list("uuid", "name"))
    found = [
        *(_session(row, "browser", row.device.name if row.device else None, row.last_seen_at, current) for row in browsers),
        *(
            _session(row, "token", names.get(row.device) if row.device else None, row.last_used_at or row.created_at, current)
            for row in families
        ),
    ]
    return sorted(found, key=lambda session: (session.created_at, session.uuid))


def _session(
    row: BrowserSession | RefreshFamily, type: Literal["browser", "token"], device: str | None, seen: datetime, current: UUID
) -> Session:
    return Session(
        uuid=row.uuid,
        type=type,
        client=in_words(row.user_agent),
        device=device,
        address=row.address,
        created_at=row.created_at,
        last_seen_at=seen,
        expires_at=row.expires_at,
        current=row.uuid == current,
    )


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
