"""Refresh families: started by a sign-in, rotated at each use, ended by reuse, sign-out or whatever stands behind them."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from grants import access
from grants.models import RefreshFamily, RefreshToken
from mfa_site.client import Client
from mfa_site.keyring import token_hash

IDLE = timedelta(hours=8)  # a working day without use
LONGEST = timedelta(hours=24)  # NIST SP 800-63B-4 2.2.3: at most 24 h at AAL2
LONGEST_STAFF = timedelta(hours=12)  # and 12 h where it matters most
PREFIX = "mfr_"  # so that secret scanners recognise one that leaked


class Reused(Exception):
    """A spent token came back; its family is ended, the exception carries it."""

    def __init__(self, family: RefreshFamily) -> None:
        super().__init__("reused")
        self.family = family


@dataclass(frozen=True)
class Pair:
    """What a client is handed: tokens in clear, once."""

    access_token: str
    refresh_token: str
    family: RefreshFamily

    def as_json(self, now: datetime) -> dict[str, Any]:
        """RFC 6749 5.1, with the seconds until the refresh token ends."""
        return {
            "access_token": self.access_token,
            "token_type": "Bearer",
            "expires_in": int(access.LIFE.total_seconds()),
            "refresh_token": self.refresh_token,
            "refresh_expires_in": int((min(self.family.idle_until, self.family.expires_at) - now).total_seconds()),
            "scope": self.family.scope,
        }


def start(
    *, sid: UUID, person: UUID, device: UUID, amr: list[str], acr: str, staff: bool, client: Client, now: datetime
) -> Pair:
    """A new family of our own client, under this sid, and its first pair."""
    expires_at = now + (LONGEST_STAFF if staff else LONGEST)
    family = RefreshFamily.objects.create(
        uuid=sid,
        person=person,
        device=device,
        client_id=access.OWN_CLIENT,
        audience=access.issuer(),
        scope=access.OWN_SCOPE,
        amr=amr,
        acr=acr,
        auth_time=now,
        address=client.address,
        user_agent=client.user_agent,
        created_at=now,
        idle_until=min(now + IDLE, expires_at),
        expires_at=expires_at,
    )
    return _pair(family, now)


def rotate(token: str, client_id: str, still_good: Q, now: datetime) -> Pair | None:
    """The token is spent and its family has a new pair; None where it is unknown, ended, another client's or too old.

    None too where the family is not `still_good`, a condition on other rows that the caller knows and the UPDATE checks;
    then nothing is spent. Reused where the token was spent before: then the family is ended. One conditional UPDATE
    decides between parallel uses; the losers see a spent token.
    """
    row = RefreshToken.objects.select_related("family").filter(token_hash=token_hash(token)).first()
    if row is None or row.family.client_id != client_id:
        return None
    family = row.family
    if not is_alive(family, now):
        return None
    with transaction.atomic():
        # The family before the token, here and in `step_up`: it decides against an end or a step-up at the same moment.
        if _used(family, still_good, now):
            if row.spent_at is None and RefreshToken.objects.filter(pk=row.pk, spent_at=None).update(spent_at=now) == 1:
                return _pair(family, now)
        elif row.spent_at is None:
            return None
    end(Q(pk=family.pk), "reused", now)
    raise Reused(family)


def step_up(sid: UUID, *, device: UUID, amr: list[str], acr: str, now: datetime) -> Pair | None:
    """The family stands for what was proven now and has a new pair; every token before is spent. None if it has ended.

    Call it inside the transaction of the right answer. How long the family lives at most does not change.
    """
    family = RefreshFamily.objects.filter(living(now), uuid=sid).first()
    if family is None or not _used(family, Q(), now, device=device, amr=amr, acr=acr, auth_time=now):
        return None
    RefreshToken.objects.filter(family=family, spent_at=None).update(spent_at=now)
    return _pair(family, now)


def _used(family: RefreshFamily, still_good: Q, now: datetime, **proven: Any) -> bool:
    columns = {"idle_until": min(now + IDLE, family.expires_at), "last_used_at": now, **proven}
    for name, value in columns.items():
        setattr(family, name, value)
    return RefreshFamily.objects.filter(still_good, pk=family.pk, ended_at=None).update(**columns) == 1


def is_alive(family: RefreshFamily, now: datetime) -> bool:
    """Not ended, not idle for too long, not too old."""
    return family.ended_at is None and now < min(family.idle_until, family.expires_at)


def family_of(token: str) -> RefreshFamily | None:
    """The family to which this refresh token belongs, spent or not."""
    row = RefreshToken.objects.select_related("family").filter(token_hash=token_hash(token)).first()
    return row.family if row else None


def of(person: UUID, now: datetime) -> QuerySet[RefreshFamily]:
    """The person's families that are alive."""
    return RefreshFamily.objects.filter(living(now), person=person)


def over(before: datetime) -> QuerySet[RefreshFamily]:
    """The families that had ended by then, whichever way."""
    return RefreshFamily.objects.filter(Q(ended_at__lt=before) | Q(idle_until__lt=before) | Q(expires_at__lt=before))


def living(now: datetime) -> Q:
    """The condition on a family that it is neither ended nor idle for too long nor too old."""
    return Q(ended_at=None, idle_until__gt=now, expires_at__gt=now)


def end(which: Q, reason: str, now: datetime) -> int:
    """The families found are ended; how many were."""
    return RefreshFamily.objects.filter(which, ended_at=None).update(ended_at=now, ended_for=reason)


def hand_over(sid: UUID, old: UUID, new: UUID) -> None:
    """The family, if it stands under the old device, stands under the new one."""
    RefreshFamily.objects.filter(uuid=sid, device=old).update(device=new)


def _pair(family: RefreshFamily, now: datetime) -> Pair:
    token = PREFIX + secrets.token_urlsafe(32)
    RefreshToken.objects.create(family=family, token_hash=token_hash(token))
    return Pair(access.issue(family, now), token, family)
