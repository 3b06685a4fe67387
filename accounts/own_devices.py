"""One's own devices: list, rename, report lost, remove."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts import policy, rules
from accounts.enrolment import clean_name
from accounts.models import User
from audit.events import record
from devices import kinds
from devices.lifecycle import State
from devices.models import Device
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import STEP_UP, Needed


def listed(user: User) -> list[Device]:
    """The person's devices that are theirs to see: all but removed ones and enrolments not confirmed."""
    shown = rules.devices(Device.ever_of(user.pk).exclude(state=State.RETIRED))
    return list(shown.order_by("created_at", "id"))


def one(user: User, uuid: UUID) -> Device:
    """The person's device; Refused NOT_FOUND for any other."""
    device: Device | None = rules.devices(Device.objects.all()).select_related("user").filter(user=user, uuid=uuid).first()
    if device is None or device.state == State.RETIRED or device.is_pending:
        raise Refused(Reason.NOT_FOUND)
    return device


def owner(device: Device) -> UUID | None:
    """The uuid of the person whose it is."""
    return device.user.uuid if device.user else None


def is_last(device: Device) -> bool:
    """Whether the person would be left with no device to sign in with; codes only stand in for one."""
    return not (kinds.module(device.kind).STANDS_IN or _that_sign_in(rules.in_use(device.user_id or 0), but=device))


def that_sign_in(user: User) -> list[Device]:
    """The person's devices that can answer, without what only stands in for one."""
    return _that_sign_in(rules.in_use(user.pk))


def _that_sign_in(in_use: Iterable[Device], but: Device | None = None) -> list[Device]:
    sign_in = (row for row in in_use if row != but and not row.is_disabled and not kinds.module(row.kind).STANDS_IN)
    return [row for row in sign_in if not rules.blocked(row)]


def needed_to_lose(device: Device) -> Needed:
    """What reporting the device lost needs: a fresh proof, unless it is the only one, which nobody can confirm any more.

    Another one that rests or is switched off counts: whoever holds a stolen session can bring that about.
    """
    others = Device.of(device.user_id or 0).exclude(pk=device.pk)
    return STEP_UP if others.exists() else {}


def rename(device: Device, name: str, client: Client) -> None:
    """The device has the new name; Refused MALFORMED for an empty or unprintable one."""
    name = clean_name(name)
    if not name:
        raise Refused(Reason.MALFORMED)
    with transaction.atomic():
        changed = Device.objects.filter(pk=device.pk, user_id=device.user_id).exclude(state=State.RETIRED).update(name=name)
        if not changed:
            raise Refused(Reason.NOT_FOUND)
        record("device_renamed", client=client, person=owner(device), device=device.uuid)
    device.name = name


def lose(device: Device, client: Client, now: datetime) -> None:
    """The device is LOST, the last one too, and what it opened is ended; nothing changes where it was lost already.

    Only an administrator takes that back. It never opens a first enrolment again: the account had a device.
    """
    with transaction.atomic():
        if device.move(State.LOST):
            policy.end_what_it_opened(device, "device_lost", now)
            record("device_lost", client=client, person=owner(device), device=device.uuid, kind=device.kind)
            return
    device.refresh_from_db(fields=["state"])
    if device.state != State.LOST:
        raise Refused(Reason.NOT_FOUND)


def remove(device: Device, client: Client, now: datetime) -> None:
    """The device is retired, or in stock again if it came from there, and what it opened is ended; Refused LAST_DEVICE if no
    other could sign the person in.

    The rows of the person's devices are locked, so that two at once cannot remove the last two.
    """
    with transaction.atomic():
        in_use = list(rules.in_use(device.user_id or 0).select_for_update())
        if not kinds.module(device.kind).STANDS_IN and not _that_sign_in(in_use, but=device):
            raise Refused(Reason.LAST_DEVICE)
        # Hardware goes back to those who hand it out, unless it is lost; it can be claimed again by whoever holds it.
        goes_back = device.serial and device.state != State.LOST
        if not (device.hand_back() if goes_back else device.retire()):
            raise Refused(Reason.NOT_FOUND)
        policy.end_what_it_opened(device, "device_removed", now)
        record("device_removed", client=client, person=owner(device), device=device.uuid, kind=device.kind)
