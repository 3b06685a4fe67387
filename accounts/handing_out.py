"""Hardware goes from the stock to a person, and back."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts import answering, enrolment, policy
from accounts.models import User
from audit.events import record
from devices import finding, kinds
from devices.kinds import Proof
from devices.models import Device
from mfa_site import limits
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.site import this_site

LOOKS, LOOKS_WITHIN = 30, timedelta(hours=1)  # by one administrator, for tokens whose serial cannot be read


def hand_out(device: Device, person: User, client: Client, now: datetime, *, actor: UUID, code: str = "") -> None:
    """The token in stock is the person's, to be tried at the next sign-in; or active already where `code`, read from it, is
    right: it is used up and sets counter and drift.

    Refused WRONG_STATE if it is not in stock any more, or the person is disabled; as any answer for a code that is not right,
    which is counted, and nothing is handed out.
    """
    if not person.is_active:
        raise Refused(Reason.WRONG_STATE)
    if code:
        claimed = _claimed(device, now)
        proof = _judged(claimed, code, client, now, actor)
        with answering.giving_back(claimed):
            _give(claimed, person, client, now, actor, proof)
        device.refresh_from_db()
    else:
        _give(device, person, client, now, actor, None)
    device.user = person


def _give(device: Device, person: User, client: Client, now: datetime, actor: UUID, proof: Proof | None) -> None:
    with transaction.atomic():
        Device.objects.select_for_update().get(pk=device.pk)  # before the person's, as in every transaction
        enrolment.make_room(person)
        name = enrolment.free_name(person, kinds.module(device.kind).suggested_name(device, Proof()), device)
        if not (
            device.take_from_stock(person.pk, proof, name, now, actor)
            if proof
            else device.hand_out(person.pk, name, actor, now)
        ):
            raise Refused(Reason.WRONG_STATE)
        who, which, checked = person.uuid, device.uuid, proof is not None
        record("device_handed_out", client=client, person=who, actor=actor, device=which, kind=device.kind, checked=checked)


def _claimed(device: Device, now: datetime) -> Device:
    """The attempt at a code of a token in stock is counted; Refused where it rests, or is not in stock."""
    claimed = Device.claim_in_stock(device.uuid, now)
    if claimed is None:
        device.refresh_from_db()
        raise answering.refusal(device, now) if device.is_paused(now) else Refused(Reason.WRONG_STATE)
    return claimed


def _judged(device: Device, code: str, client: Client, now: datetime, actor: UUID) -> Proof:
    """What the code proves. A wrong one stays counted and may make the token rest; nobody's yet, so nobody is told."""
    try:
        with answering.giving_back(device):
            return kinds.module(device.kind).verify(device, code, "", this_site(), now)
    except Refused as refused:
        if refused.reason.is_wrong_answer:
            with transaction.atomic():
                device.pause_in_stock(now)
                record("answer_refused", client=client, actor=actor, device=device.uuid, reason=refused.reason.name)
        refused.facts.setdefault("device", device.serial)
        raise


def look_for(codes: list[str], which: Q, client: Client, now: datetime, *, actor: UUID) -> list[Device]:
    """The tokens in stock among `which` that show this code now, or these two; nothing of them changes (`devices.finding`).

    Refused TOO_MANY_ATTEMPTS where this administrator looked too often: each look may cost seconds of a processor.
    """
    limits.hit("token-looked-for", str(actor), LOOKS, LOOKS_WITHIN, now)
    found, seen = finding.showing(codes, which, now)
    device = found[0].uuid if len(found) == 1 else None
    record("token_looked_for", client=client, actor=actor, device=device, looked_at=seen, found=len(found))
    return found


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
