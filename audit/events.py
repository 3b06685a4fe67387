"""Writing audit events and checking their MACs."""

import json
import logging
import secrets
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from audit import ids
from audit.models import Event
from mfa_site import keyring
from mfa_site.client import Client

log = logging.getLogger("audit")
OPERATOR = UUID(int=0)  # the actor of what is done on the command line
COVERED = ("uuid", "act", "reason", "actor", "person", "device", "sid", "request_id", "personal_digest")


def record(
    act: str,
    *,
    client: Client,
    actor: UUID | None = None,
    person: UUID | None = None,
    device: UUID | None = None,
    sid: UUID | None = None,
    reason: str = "",
    **about: Any,
) -> None:
    """One event is in the database (in the caller's transaction) and, when that is committed, in the log. `person` did
    it, unless `actor` says who else.

    Call it last in its transaction: on PostgreSQL whatever rolls back after it leaves a gap in the ids, which
    `verify_audit` reports. Never pass a password, code, seed, token or challenge.
    """
    personal = {"address": client.address, "user_agent": client.user_agent, "salt": secrets.token_hex(8)}
    with transaction.atomic(savepoint=False):
        event = Event(
            id=ids.take(),
            at=timezone.now(),
            act=act,
            reason=reason,
            actor=actor or person,
            person=person,
            device=device,
            sid=sid,
            request_id=client.request_id,
            about=about,
            personal=personal,
            personal_digest=keyring.mac(canonical(personal), "audit-personal"),
        )
        event.mac = keyring.mac(covered(event), "audit-event")
        event.save(force_insert=True)
        told = {"request_id": client.request_id, "audit_id": event.id, **({"reason": reason} if reason else {})}
        transaction.on_commit(lambda: log.info(act, extra=told), robust=True)


def is_genuine(event: Event) -> bool:
    """Whether the row is as it was written, and under the id it was written with; with its personal data erased it still is."""
    return personal_is_genuine(event) and keyring.mac_is_right(event.mac, covered(event), "audit-event")


def is_genuine_old(event: Event) -> bool:
    """Whether the row is as the first version wrote it, whose MAC did not cover the id."""
    return personal_is_genuine(event) and keyring.mac_is_right(event.mac, _covered_before(event), "audit")


def personal_is_genuine(event: Event) -> bool:
    """Whether the personal data is as it was written, or erased."""
    personal = event.personal
    return personal is None or keyring.mac_is_right(event.personal_digest, canonical(personal), "audit-personal")


def covered(event: Event) -> bytes:
    """What the MAC and the seals cover: every column but `personal` (its digest stands for it) and `mac`."""
    values = {name: None if (value := getattr(event, name)) is None else str(value) for name in COVERED}
    return canonical({**values, "id": event.id, "at": event.at.isoformat(timespec="microseconds"), "about": event.about})


def _covered_before(event: Event) -> bytes:
    values = {name: str(getattr(event, name) or "") for name in COVERED}
    return canonical({**values, "at": event.at.isoformat(timespec="microseconds"), "about": event.about})


def canonical(value: Any) -> bytes:
    """JSON in the one form that is hashed: sorted, without spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
