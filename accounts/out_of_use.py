"""An administrator takes a device out of use, for a time or for good, and puts it back.

A device that is suspended until a date stays suspended in its row until the worker resumes it (`come_back`): every check of a
device asks for its state alone, so no place that forgets the date can let one in too early, and where no worker runs it comes
back late, never early.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts import policy
from accounts.own_devices import owner
from accounts.temporary import LIFE, stated
from audit.events import OPERATOR, record
from devices.lifecycle import State
from devices.models import Device
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

LONGEST = timedelta(days=366)  # a suspension with a date; who is away for longer hands the device in
BATCH = 100  # devices that come back in one round of the worker
WORKER = Client("", "", "")


class Loss(models.TextChoices):
    """What became of a device that its owner does not have."""

    LOST = "lost", _("Lost")
    STOLEN = "stolen", _("Stolen")
    BROKEN = "broken", _("Broken")
    FORGOTTEN = "forgotten", _("Forgotten at home: suspended until a date")


class Seen(models.TextChoices):
    """How an administrator made sure of whom they help."""

    ID_CARD = "id_card", _("I saw an identity card, passport or staff card")
    KNOWN = "known", _("I know the person, and saw them or their picture")
    CALLED_BACK = "called_back", _("I called back at the number that we have on file")
    VOUCHED = "vouched", _("Their manager vouched for them")


def report(
    device: Device,
    loss: str,
    client: Client,
    now: datetime,
    *,
    actor: UUID,
    until: datetime | None = None,
    why: str = "",
    seen: Iterable[str] = (),
) -> None:
    """The device is LOST, or SUSPENDED where it was only forgotten (until a day from now, if nothing is said), and what it
    opened has ended.

    Refused WRONG_STATE where it is nobody's or out of use already; MALFORMED for `until` with any other loss.
    """
    told: dict[str, Any] = {"loss": loss, **about(why, seen)}
    if loss == Loss.FORGOTTEN:
        _suspend(device, until or now + LIFE, client, now, actor, told)
        return
    if until is not None or loss not in Loss.values:
        raise Refused(Reason.MALFORMED)
    with transaction.atomic():
        if not device.move(State.LOST, suspended_until=None):
            raise Refused(Reason.WRONG_STATE)
        policy.end_what_it_opened(device, "device_lost", now)
        _record("device_lost", device, client, actor, **told)


def suspend(
    device: Device, client: Client, now: datetime, *, actor: UUID, until: datetime | None = None, why: str = ""
) -> None:
    """The device is SUSPENDED, until then or until somebody resumes it, and what it opened has ended. Refused WRONG_STATE where
    it is not in use, or was never tried; MALFORMED where `until` is over or too far away."""
    _suspend(device, until, client, now, actor, about(why, ()))


def _suspend(device: Device, until: datetime | None, client: Client, now: datetime, actor: UUID, told: dict[str, Any]) -> None:
    if until is not None and not now < until <= now + LONGEST:
        raise Refused(Reason.MALFORMED, detail=_("until is a time within the next 366 days."))
    with transaction.atomic():
        if not device.move(State.SUSPENDED, suspended_until=until):
            raise Refused(Reason.WRONG_STATE)
        policy.end_what_it_opened(device, "device_suspended", now)
        said = {"until": until.isoformat(timespec="seconds")} if until else {}
        _record("device_suspended_at_desk", device, client, actor, **said, **told)
    device.suspended_until = until


def resume(device: Device, client: Client, now: datetime, *, actor: UUID, why: str = "") -> None:
    """The device that was suspended or lost is in use again; what it had opened before stays ended. Refused WRONG_STATE for any
    other."""
    told = about(why, ())
    with transaction.atomic():
        if not device.resume():
            raise Refused(Reason.WRONG_STATE)
        _record("device_resumed", device, client, actor, **told)
    device.refresh_from_db(fields=["state", "suspended_until"])


def come_back(now: datetime) -> int:
    """Devices whose suspension is over are in use again, each by one worker; how many. A chore of the worker."""
    due = Device.objects.filter(state=State.SUSPENDED, suspended_until__lte=now).select_related("user")
    return sum(_came_back(row, now) for row in due.order_by("suspended_until")[:BATCH])


def _came_back(device: Device, now: datetime) -> bool:
    with transaction.atomic():
        if not device.resume_when_due(now):
            return False
        _record("device_resumed", device, WORKER, OPERATOR, due=True)
    return True


def unlock(device: Device, client: Client, now: datetime, *, actor: UUID, why: str = "") -> None:
    """The device's wrong answers are forgotten, and it rests no more. Refused NOT_LOCKED where there were none; DEVICE_DISABLED
    where there were so many that only binding it anew helps (decision 0010)."""
    told = about(why, ())
    with transaction.atomic():
        if not device.unlock():
            device.refresh_from_db(fields=["failures"])
            raise Refused(Reason.DEVICE_DISABLED if device.is_disabled else Reason.NOT_LOCKED)
        _record("device_unlocked", device, client, actor, **told)
    device.failures, device.paused_until = 0, None


def retire(device: Device, client: Client, now: datetime, *, actor: UUID, why: str = "") -> None:
    """The device is gone for good with its seed or key, and what it opened has ended. Refused WRONG_STATE where it was so."""
    told = about(why, ())
    with transaction.atomic():
        if not device.retire():
            raise Refused(Reason.WRONG_STATE)
        policy.end_what_it_opened(device, "device_retired", now)
        _record("device_retired", device, client, actor, **told)


def about(why: str, seen: Iterable[str]) -> dict[str, Any]:
    """What the audit keeps of who was asked: the reason, and how the person was known, as far as they were said. Refused
    MALFORMED."""
    found = sorted(set(seen))
    if not set(found) <= set(Seen.values):
        raise Refused(Reason.MALFORMED)
    return ({"why": stated(why)} if why.strip() else {}) | ({"seen": found} if found else {})


def _record(act: str, device: Device, client: Client, actor: UUID, **told: Any) -> None:
    record(act, client=client, person=owner(device), actor=actor, device=device.uuid, kind=device.kind, **told)
