"""What follows from facts on the rows, never from a request: strength, order of devices, what a device opened."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from accounts.models import BrowserSession, User
from devices import kinds
from devices.kinds import Facts
from devices.models import Device
from grants import refresh


def strength(methods: Iterable[str], facts: Facts) -> tuple[list[str], str]:
    """`amr` (RFC 8176) and `acr` of a sign-in in which these methods and a device with these facts passed."""
    return [*methods, *facts.amr, "mfa"], facts.acr


def in_order(devices: Iterable[Device], remembered: str = "") -> list[Device]:
    """The one this browser used last, then the strongest, then the one used last."""

    def rank(device: Device) -> tuple[bool, int, float]:
        used = device.last_used_at.timestamp() if device.last_used_at else 0.0
        return (str(device.uuid) != remembered, -kinds.module(device.kind).STRENGTH, -used)

    return sorted(devices, key=rank)


def end_what_it_opened(device: Device, reason: str, now: datetime) -> None:
    """Every browser session and refresh family that this device opened is ended."""
    BrowserSession.end(Q(device=device), reason, now)
    refresh.end(Q(device=device.uuid), reason, now)


def end_everything(person: User, reason: str, now: datetime) -> None:
    """Every browser session and refresh family of the person is ended."""
    BrowserSession.end(Q(person=person), reason, now)
    refresh.end(Q(person=person.uuid), reason, now)
