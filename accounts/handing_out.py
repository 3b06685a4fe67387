"""Hardware goes from the stock to a person, and back."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts import enrolment, policy, rules
from accounts.models import User
from audit.events import record
from devices import kinds
from devices.kinds import Proof
from devices.models import Device
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused


def hand_out(device: Device, person: User, client: Client, now: datetime, *, actor: UUID) -> None:
    """The token in stock is the person's, to be tried at the next sign-in; Refused WRONG_STATE if it is not in stock any more,
    or the person is disabled."""
    if not person.is_active:
        raise Refused(Reason.WRONG_STATE)
    enrolment.refuse_kind(device.kind, rules.of(person.pk))
    with transaction.atomic():
        Device.objects.select_for_update().get(pk=device.pk)  # before the person's, as in every transaction
        enrolment.make_room(person)
        name = enrolment.free_name(person, kinds.module(device.kind).suggested_name(device, Proof()), device)
        if not device.hand_out(person.pk, name, actor, now):
            raise Refused(Reason.WRONG_STATE)
        record("device_handed_out", client=client, person=person.uuid, actor=actor, device=device.uuid, kind=device.kind)
    device.user = person


def take_back(device: Device, client: Client, now: datetime, *, actor: UUID) -> None:
    """The token is in stock again and nobody's, and what it opened has ended.

    Refused WRONG_STATE for what came from no stock, or is there.
    """
    person = device.user.uuid if device.user else None
    with transaction.atomic():
        if person is None or not device.hand_back():
            raise Refused(Reason.WRONG_STATE)
        # No row tells any more that the account had a device; its password alone still enrols no other one.
        User.objects.filter(uuid=person).update(enrol_until=None)
        policy.end_what_it_opened(device, "device_taken_back", now)
        record("device_taken_back", client=client, person=person, actor=actor, device=device.uuid, kind=device.kind)
    device.user = None
