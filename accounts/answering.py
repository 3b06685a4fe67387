"""An answer to a ceremony: counted before it is judged, judged, used up. Every entrance goes through here.

Two commits a right answer: the claim, then everything that follows from it.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import Error, transaction
from django.utils import timezone

from accounts import policy
from accounts.models import SignIn
from audit.events import record
from devices import kinds
from devices.kinds import Proof
from devices.lifecycle import State
from devices.models import Device
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.site import this_site

Granted = TypeVar("Granted")

WAIT, WAITS = 0.02, 150  # seconds and times to wait for an attempt that is being judged: three seconds in all


def prove(
    sign_in: SignIn, device: UUID, given: Any, then: Callable[[Device, Proof], Granted], client: Client, now: datetime
) -> Granted:
    """A right answer is used up and `then` carried out with it, both or neither; everything else is Refused."""
    if sign_in.state != SignIn.State.WAITING:
        raise Refused(Reason.WRONG_STATE)
    claimed, kept = claim(sign_in, device, given, client, now)
    kind = kinds.module(claimed.kind)
    proof = judge(sign_in, claimed, kept, given, client, now, kind.verify)
    with giving_back(claimed), transaction.atomic():
        if not kind.spend(claimed, proof, now):
            raise Refused(Reason.ANSWER_USED, device=claimed.name)
        return then(claimed, proof)


def claim(
    sign_in: SignIn, device: UUID, given: Any, client: Client, now: datetime, *, pending: bool = False
) -> tuple[Device, str]:
    """The attempt is counted and a challenge that may be answered once is taken, before any judging.

    A malformed answer, a missing challenge and a device that cannot answer are Refused and count nothing. While the
    attempt that decides about a pause is being judged, this one waits: its outcome decides whether this one may try.
    """
    for _attempt in range(WAITS):
        claimed = _try_claim(sign_in, device, given, now, pending)
        if claimed is not None:
            return claimed, sign_in.kept if sign_in.device_id == claimed.pk else ""
        row = Device.objects.filter(uuid=device, user_id=sign_in.user_id).first()
        if row is None or not row.may_be_claimed(now, pending=pending):
            break
        time.sleep(WAIT)
        now = timezone.now()
    refused = refusal(row, now)
    record("answer_refused", client=client, person=sign_in.person.uuid, device=row and row.uuid, reason=refused.reason.name)
    raise refused


def _try_claim(sign_in: SignIn, device: UUID, given: Any, now: datetime, pending: bool) -> Device | None:
    # One commit: the claim by itself, or with the challenge that is taken.
    with transaction.atomic() if sign_in.kept else contextlib.nullcontext():
        claimed = Device.claim(sign_in.person.pk, device, now, pending=pending)
        if claimed is None:
            return None
        with giving_back(claimed):
            kind = kinds.module(claimed.kind)
            if claimed.kind in settings.KINDS_OFF:
                raise Refused(Reason.DEVICE_NOT_USABLE, device=claimed.name)
            if type(given) is not kind.ANSWER:
                raise Refused(Reason.MALFORMED)
            if kind.KEPT_ONCE and (sign_in.device_id != claimed.pk or not sign_in.kept or not sign_in.take(now)):
                raise Refused(Reason.NO_CHALLENGE)
    claimed.user = sign_in.user
    return claimed


def judge(
    sign_in: SignIn, device: Device, kept: str, given: Any, client: Client, now: datetime, verify: Callable[..., Proof]
) -> Proof:
    """What the answer proves. A wrong one stays counted; one that was used, and a fault of ours, give the claim back."""
    try:
        with giving_back(device):
            return verify(device, given, kept, this_site(), now)
    except Refused as refused:
        with transaction.atomic():
            if refused.reason.is_wrong_answer:
                after_wrong(sign_in, device, refused.reason, client, now)
            who, why = sign_in.person.uuid, refused.reason.name
            record("answer_refused", client=client, person=who, device=device.uuid, reason=why, kind=device.kind)
        refused.facts.setdefault("device", device.name or kinds.title(device))
        raise


@contextlib.contextmanager
def giving_back(device: Device) -> Iterator[None]:
    """Around what follows a claim: unless the answer is wrong, whatever goes wrong takes the claim back."""
    try:
        yield
    except BaseException as error:
        if not (isinstance(error, Refused) and error.reason.is_wrong_answer):
            with contextlib.suppress(Error):  # the store is away: it stays counted, and the first fault is reported
                device.give_back()
        raise


def after_wrong(sign_in: SignIn, device: Device, reason: Reason, client: Client, now: datetime) -> None:
    """The ceremony's count, the device's pause, and the suspension of a key that looks cloned."""
    person = sign_in.person.uuid
    # The device before the sign-in, as in every transaction: another order would deadlock.
    rest(device, person, client, now)
    if sign_in.count_wrong(now):
        about = {"purpose": sign_in.purpose, "kind": device.kind}
        record("sign_in_refused", client=client, person=person, device=device.uuid, **about)  # type: ignore[arg-type]
    if reason in (Reason.ASSERTION_COUNTER, Reason.ASSERTION_BACKUP_CHANGED) and device.move(State.SUSPENDED):
        policy.end_what_it_opened(device, "device_suspended", now)
        record("device_suspended", client=client, person=person, device=device.uuid, reason=reason.name)


def rest(device: Device, person: UUID, client: Client, now: datetime) -> None:
    """After a wrong answer: from the fifth in a row on the person's device is paused, in the end switched off."""
    if pause := device.pause_after_wrong(now):
        act = "device_disabled" if device.is_disabled else "device_paused"
        record(act, client=client, person=person, device=device.uuid, seconds=int(pause.total_seconds()))


def refusal(device: Device | None, now: datetime) -> Refused:
    """Why this device of the person cannot answer now."""
    if device is None:
        return Refused(Reason.NOT_FOUND)
    if device.is_paused(now) and not device.is_disabled and device.paused_until:
        wait = int((device.paused_until - now).total_seconds()) + 1
        return Refused(Reason.TOO_MANY_ATTEMPTS, retry_after=wait, device=device.name or device.serial)
    return Refused(Reason.DEVICE_NOT_USABLE, device=device.name or device.serial)
