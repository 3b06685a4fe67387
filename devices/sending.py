"""What goes out to people: codes by SMS and e-mail."""

from datetime import datetime
from uuid import UUID

from devices.models import Device
from mfa_site.errors import Reason, Refused


def send(device: Device, ceremony: UUID, person: UUID, now: datetime) -> int:
    """Without a sender nothing goes out: Refused UNAVAILABLE."""
    raise Refused(Reason.UNAVAILABLE)
