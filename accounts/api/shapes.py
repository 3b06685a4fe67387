"""How people, devices and times look in JSON."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from accounts import rules
from accounts.models import SignIn, User
from devices.addresses import masked
from devices.models import Device, Kind
from mfa_site.api import Shape
from mfa_site.errors import Reason, Refused
from mfa_site.proof import RequestProof

NEW_DEVICE: Shape = {"kind": str, "name?": str, "address?": str, "serial?": str, "answers?": list}


def two_codes(given: dict[str, Any]) -> list[str]:
    """The two codes of a call that brings them; Refused MALFORMED for anything else."""
    answers = given.pop("answers", None)
    if type(answers) is not list or len(answers) != 2 or any(type(answer) is not str for answer in answers):
        raise Refused(Reason.MALFORMED, detail="answers is an array of two strings.")
    return answers


def moment(value: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if value else None


def seconds_until(end: datetime, now: datetime) -> int:
    """Whole seconds left, never negative."""
    return max(0, int((end - now).total_seconds()))


def device(row: Device, now: datetime) -> dict[str, Any]:
    """One's own device."""
    key = row.kind == Kind.FIDO2 and bool(row.credential_id)
    return {
        "uuid": str(row.uuid),
        "kind": row.kind,
        "name": row.name,
        "state": row.state,
        "serial": row.serial or None,
        "usable": row.is_usable(now) and not rules.blocked(row),
        "last_used_at": moment(row.last_used_at),
        "created_at": moment(row.created_at),
        "transports": row.transports if key else None,
        "synced": row.backup_eligible if key else None,
        "sent_to": masked(row.address) if row.address else None,
    }


def device_before_sign_in(row: Device, now: datetime) -> dict[str, Any]:
    """What somebody who knows the password alone may see of a device."""
    whole = device(row, now)
    return {name: whole[name] for name in ("uuid", "kind", "name", "usable", "sent_to", "transports")}


def ceremony(sign_in: SignIn, handle: str, now: datetime) -> dict[str, Any]:
    """A sign-in or step-up that was just begun, with the devices that may be used now."""
    waiting = sign_in.state == SignIn.State.WAITING
    usable = (
        [row for row in rules.in_use(sign_in.user_id or 0) if row.is_usable(now) and not rules.blocked(row)] if waiting else []
    )
    return {
        "sign_in": handle,
        "state": sign_in.state,
        "expires_in": seconds_until(sign_in.expires_at, now),
        "devices": [device_before_sign_in(row, now) for row in usable],
    }


def me(user: User, proof: RequestProof) -> dict[str, Any]:
    """The signed-in person and what was proven."""
    return {
        "uuid": str(user.uuid),
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "staff": user.is_staff,
        "amr": list(proof.amr),
        "acr": proof.acr,
        "auth_time": moment(proof.auth_time),
    }


def uuid(text: str) -> UUID:
    """The uuid in canonical text; Refused NOT_FOUND where it is none, for there is nothing by that name."""
    try:
        value = UUID(text)
    except ValueError:
        raise Refused(Reason.NOT_FOUND) from None
    if str(value) != text.lower():
        raise Refused(Reason.NOT_FOUND)
    return value
