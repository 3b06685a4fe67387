"""Trying out a device of one's own: an answer here and now, counted, judged and used up as in a sign-in.

Nothing follows from it: the session stays as it is, with the proof that it had.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import answering, rules, signin
from accounts.models import SignIn, User
from accounts.own_devices import owner
from audit.events import record
from devices import kinds
from devices.kinds import Proof
from devices.models import Device
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused


def is_possible(device: Device, now: datetime) -> bool:
    """Whether the device can be tried out now; a code that stands in for a device would only be used up by it."""
    return device.is_usable(now) and not rules.blocked(device) and not kinds.module(device.kind).STANDS_IN


def begin(user: User, device: Device, sid: UUID, client: Client, now: datetime) -> SignIn:
    """A test waits for an answer of this device, given by this session; Refused where the device cannot answer."""
    if not is_possible(device, now):
        by = rules.blocked(device)
        raise rules.refusal(device, by) if by else answering.refusal(device, now)
    return SignIn.begin(SignIn.Purpose.TEST, user, client, now, device=device, started_by=sid)


def open_test(uuid: UUID, device: Device, sid: UUID, now: datetime) -> SignIn:
    """The test of this device that this session began; else Refused SIGN_IN_OVER."""
    test = signin.by_uuid(uuid, SignIn.Purpose.TEST, sid, now)
    if test.device_id != device.pk:
        raise Refused(Reason.SIGN_IN_OVER)
    return test


def answer(test: SignIn, device: Device, given: Any, client: Client, now: datetime) -> Proof:
    """A right answer is used up and the test FINISHED, once: what it showed; everything else is Refused."""

    def then(used: Device, proof: Proof) -> Proof:
        if not test.finish([], now):
            raise Refused(Reason.SIGN_IN_OVER)
        record("device_tested", client=client, person=owner(used), device=used.uuid, sid=test.started_by, kind=used.kind)
        return proof

    return answering.prove(test, device.uuid, given, then, client, now)
