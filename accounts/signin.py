"""Signing in: password, then a device, then a grant. Pages and API call the same functions.

How an answer is claimed, judged and used up is in `accounts.answering`; what follows from a right one is here.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest

from accounts import answering, credentials, known_browsers, policy, rules
from accounts.models import SignIn, User
from audit.events import record
from devices import kinds
from devices.kinds import Ceremony, Proof, Shown
from devices.models import Device, lock_pending
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.keyring import token_hash
from mfa_site.site import this_site

Granted = TypeVar("Granted")


@dataclass(frozen=True)
class Passed:
    """Both factors passed: who, with what, and how strong that is. `limited`: a code that stands in for a device, below what
    the person's policy asks for; it is worth no token, and a session that only adds a device."""

    user: User
    device: Device
    amr: list[str]
    acr: str
    sid: UUID
    limited: bool = False


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
    sign_in: SignIn | None = rules.ceremonies().select_related("user").filter(which).first()
    if sign_in is None or not sign_in.is_open(now) or not _person_unchanged(sign_in):
        raise Refused(Reason.SIGN_IN_OVER)
    return sign_in


def _person_unchanged(sign_in: SignIn) -> bool:
    user = sign_in.user
    return user is not None and user.is_active and user.password_mark() == sign_in.password_mark


def choose(sign_in: SignIn, device: UUID, now: datetime, *, again: bool = True) -> tuple[Device, Shown]:
    """The device is chosen and what the client needs to answer it is shown; a new challenge replaces any other.

    Without `again` a code that is on its way to the person is not replaced by another one.
    """
    if sign_in.state != SignIn.State.WAITING:
        raise Refused(Reason.WRONG_STATE)
    chosen = Device.objects.select_related("user").filter(uuid=device, user_id=sign_in.user_id).first()
    if chosen is None or not chosen.is_usable(now):
        raise answering.refusal(chosen, now)
    if by := rules.of_owner(sign_in).against(chosen):
        raise rules.refusal(chosen, by)
    kept = sign_in.kept if sign_in.device_id == chosen.pk else ""
    ceremony = Ceremony(sign_in.uuid, sign_in.person.uuid, kept, again)
    shown = kinds.module(chosen.kind).challenge(chosen, ceremony, this_site(), now)
    if not sign_in.choose(chosen.pk, shown.kept, now):
        raise Refused(Reason.SIGN_IN_OVER)
    return chosen, shown


def answer(sign_in: SignIn, device: UUID, given: Any, grant: Grant[Granted], client: Client, now: datetime) -> Granted:
    """A right answer finishes the sign-in and `grant` is carried out with it, once; everything else is Refused."""

    def then(used: Device, proof: Proof) -> Granted:
        return finish(sign_in, used, proof, grant, client, now)

    return answering.prove(sign_in, device, given, then, client, now)


def finish(sign_in: SignIn, device: Device, proof: Proof, grant: Grant[Granted], client: Client, now: datetime) -> Granted:
    """Inside the transaction of a right answer: the ceremony is FINISHED by this caller alone, and the grant made."""
    kind = kinds.module(device.kind)
    facts = kind.facts(device, proof)
    limited = rules.of_owner(sign_in).is_above(facts.acr)
    if limited and not kind.STANDS_IN:
        raise rules.refusal(device, "weakest_acr")
    amr, acr = policy.strength(sign_in.methods, facts, limited)
    if not sign_in.finish(amr, now):
        raise Refused(Reason.SIGN_IN_OVER)
    passed = Passed(sign_in.person, device, amr, acr, sid=sign_in.started_by or uuid4(), limited=limited)
    granted = grant(passed)
    act = "stepped_up" if sign_in.is_step_up else "signed_in"
    who, sid = passed.user.uuid, passed.sid
    about: dict[str, Any] = {"kind": device.kind, "amr": amr, "acr": acr}
    if not sign_in.is_step_up:
        about["known"] = bool(known_browsers.token_id(client.browsers, who))
    record(act, client=client, person=who, device=device.uuid, sid=sid, **about)
    if facts.act:
        record(facts.act, client=client, person=who, device=device.uuid, sid=sid, left=facts.left)
    return granted


def cancel(sign_in: SignIn, client: Client, now: datetime) -> None:
    """The sign-in is REFUSED and what it had begun to enrol is gone; Refused SIGN_IN_OVER if it was over."""
    with transaction.atomic():
        begun = lock_pending(Q(pk=sign_in.device_id))
        if not sign_in.refuse(now):
            raise Refused(Reason.SIGN_IN_OVER)
        Device.objects.filter(pk__in=begun).delete()
        record("sign_in_cancelled", client=client, person=sign_in.person.uuid)
