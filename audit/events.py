"""Writing audit events and checking their MACs."""

import json
import logging
import secrets
from typing import Any
from uuid import UUID

from django.utils import timezone

from audit.models import Event
from mfa_site import keyring
from mfa_site.client import Client

log = logging.getLogger("audit")


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
    """One event is in the database (in the caller's transaction) and in the log. `person` did it, unless `actor` says who else.

    Never pass a password, code, seed, token or challenge.
    """
    personal = {"address": client.address, "user_agent": client.user_agent, "salt": secrets.token_hex(8)}
    event = Event(
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
        personal_digest=keyring.mac(_canonical(personal), "audit-personal"),
    )
    event.mac = keyring.mac(_covered(event), "audit")
    event.save(force_insert=True)
    log.info(act, extra={"request_id": client.request_id, **({"reason": reason} if reason else {})})


def is_genuine(event: Event) -> bool:
    """Whether the row is as it was written; with its personal data erased it still is."""
    personal = event.personal
    if personal is not None and not keyring.mac_is_right(event.personal_digest, _canonical(personal), "audit-personal"):
        return False
    return keyring.mac_is_right(event.mac, _covered(event), "audit")


def _covered(event: Event) -> bytes:
    columns = ("uuid", "act", "reason", "actor", "person", "device", "sid", "request_id", "personal_digest")
    values = {name: str(getattr(event, name) or "") for name in columns}
    return _canonical({**values, "at": event.at.isoformat(timespec="microseconds"), "about": event.about})


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
