"""Signing in: password, then a device, then a grant. Pages and API call the same functions.

Two commits a right answer: the claim (counted before it is judged), then everything that follows from it.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from django.db import Error, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from accounts import credentials, known_browsers, policy
from accounts.models import SignIn, User
from audit.events import record
from devices import kinds
from devices.kinds import Proof, Shown
from devices.lifecycle import State
from devices.models import Device, lock_pending
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.keyring import token_hash
from mfa_site.site import this_site

Granted = TypeVar("Granted")

WAIT, WAITS = 0.02, 150  # seconds and times to wait for an attempt that is being judged: three seconds in all


@dataclass(frozen=True)
class Passed:
    """Both factors passed: who, with what, and how strong that is."""

    user: User
    device: Device
    amr: list[str]
    acr: str
    sid: UUID


Grant = Callable[[Passed], Granted]


def start(
    request: HttpRequest, username: str, password: str, client: Client, now: datetime, next: str = ""
) -> tuple[SignIn, str]:
    """A right password opens a sign-in: the row, and the secret handle by which an API client answers it.

    Refused BAD_CREDENTIALS for an unknown name, an inactive person and a wrong password alike; TOO_MANY_ATTEMPTS.
    """
    user = credentials.judge(request, username, password, client, now)
    handle = secrets.token_urlsafe(32)
    enrolling = may_enrol_first(user, now)
    with transaction.atomic():
        sign_in = SignIn.begin(
            SignIn.Purpose.SIGN_IN,
            user,
            client,
            now,
            handle_hash=token_hash(handle),
            state=SignIn.State.ENROLLING if enrolling else SignIn.State.WAITING,
            methods=["pwd"],
            next=next,
        )
        record("password_passed", client=client, person=user.uuid, enrolling=enrolling)
    return sign_in, handle


def may_enrol_first(user: User, now: datetime) -> bool:
    """Whether the account never had a device and is inside its time; lost or suspended ones never open this."""
    return user.enrol_until is not None and now < user.enrol_until and not Device.ever_of(user.pk).exists()


def by_handle(handle: str, asker: UUID | None, now: datetime) -> SignIn:
    """The open sign-in of this secret handle, or step-up that `asker` (the proof's sid) began; else Refused SIGN_IN_OVER."""
    mine = Q(purpose=SignIn.Purpose.SIGN_IN)
    if asker:
        mine |= Q(purpose=SignIn.Purpose.STEP_UP, started_by=asker)
    return _open(Q(mine, handle_hash=token_hash(handle)), now)


def by_uuid(uuid: UUID, purpose: SignIn.Purpose, asker: UUID | None, now: datetime) -> SignIn:
    """The open ceremony for this purpose that `asker` began; a sign-in, with None, for a browser known to have begun it."""
    return _open(Q(uuid=uuid, purpose=purpose, started_by=asker), now)


def _open(which: Q, now: datetime) -> SignIn:
    sign_in: SignIn | None = SignIn.objects.select_related("user").filter(which).first()
    if sign_in is None or not sign_in.is_open(now) or not _person_unchanged(sign_in):
        raise Refused(Reason.SIGN_IN_OVER)
    return sign_in


def _person_unchanged(sign_in: SignIn) -> bool:
    user = sign_in.user
    return user is not None and user.is_active and user.password_mark() == sign_in.password_mark


def choose(sign_in: SignIn, device: UUID, now: datetime) -> tuple[Device, Shown]:
    """The device is chosen and what the client needs to answer it is shown; a new challenge replaces any other."""
    if sign_in.state != SignIn.State.WAITING:
        raise Refused(Reason.WRONG_STATE)
    chosen = Device.objects.select_related("user").filter(uuid=device, user_id=sign_in.user_id).first()
    if chosen is None or not chosen.is_usable(now):
        raise refusal(chosen, now)
    shown = kinds.module(chosen.kind).challenge(chosen, this_site(), now)
    if not sign_in.choose(chosen.pk, shown.kept, now):
        raise Refused(Reason.SIGN_IN_OVER)
    return chosen, shown


def refusal(device: Device | None, now: datetime) -> Refused:
    """Why this device of the person cannot answer now."""
    if device is None:
        return Refused(Reason.NOT_FOUND)
    if device.is_paused(now) and not device.is_disabled and device.paused_until:
        wait = int((device.paused_until - now).total_seconds()) + 1
        return Refused(Reason.TOO_MANY_ATTEMPTS, retry_after=wait, device=device.name)
    return Refused(Reason.DEVICE_NOT_USABLE, device=device.name)


def answer(sign_in: SignIn, device: UUID, given: Any, grant: Grant[Granted], client: Client, now: datetime) -> Granted:
    """A right answer finishes the sign-in and `grant` is carried out with it, once; everything else is Refused."""

    def then(used: Device, proof: Proof) -> Granted:
        return finish(sign_in, used, proof, grant, client, now)

    return prove(sign_in, device, given, then, client, now)


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
            return claimed, sign_in.kept
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
        refused.facts.setdefault("device", device.name or str(kinds.module(device.kind).TITLE))
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
    if pause := device.pause_after_wrong(now):
        act = "device_disabled" if device.is_disabled else "device_paused"
        record(act, client=client, person=person, device=device.uuid, seconds=int(pause.total_seconds()))
    if sign_in.count_wrong(now):
        record("sign_in_refused", client=client, person=person, device=device.uuid, purpose=sign_in.purpose)
    if reason in (Reason.ASSERTION_COUNTER, Reason.ASSERTION_BACKUP_CHANGED) and device.move(State.SUSPENDED):
        policy.end_what_it_opened(device, "device_suspended", now)
        record("device_suspended", client=client, person=person, device=device.uuid, reason=reason.name)


def finish(sign_in: SignIn, device: Device, proof: Proof, grant: Grant[Granted], client: Client, now: datetime) -> Granted:
    """Inside the transaction of a right answer: the ceremony is FINISHED by this caller alone, and the grant made."""
    facts = kinds.module(device.kind).facts(device, proof)
    amr, acr = policy.strength(sign_in.methods, facts)
    if not sign_in.finish(amr, now):
        raise Refused(Reason.SIGN_IN_OVER)
    passed = Passed(sign_in.person, device, amr, acr, sid=sign_in.started_by or uuid4())
    granted = grant(passed)
    act = "stepped_up" if sign_in.is_step_up else "signed_in"
    who, sid = passed.user.uuid, passed.sid
    about: dict[str, Any] = {"kind": device.kind, "amr": amr, "acr": acr}
    if not sign_in.is_step_up:
        about["known"] = bool(known_browsers.token_id(client.browsers, who))
    record(act, client=client, person=who, device=device.uuid, sid=sid, **about)
    if facts.left is not None:
        record("recovery_code_used", client=client, person=who, device=device.uuid, sid=sid, left=facts.left)
    return granted


def cancel(sign_in: SignIn, client: Client, now: datetime) -> None:
    """The sign-in is REFUSED and what it had begun to enrol is gone; Refused SIGN_IN_OVER if it was over."""
    with transaction.atomic():
        begun = lock_pending(Q(pk=sign_in.device_id))
        if not sign_in.refuse(now):
            raise Refused(Reason.SIGN_IN_OVER)
        Device.objects.filter(pk__in=begun).delete()
        record("sign_in_cancelled", client=client, person=sign_in.person.uuid)
