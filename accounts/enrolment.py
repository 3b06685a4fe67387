"""Enrolling a device: begun (the person sees what it needs), then confirmed by a real answer of that device.

The first device of a new account belongs to its sign-in (ENROLLING); any other to an enrolment of its own, which
only the session or refresh family that began it can confirm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts import answering, policy, rules, signin
from accounts.models import SignIn, User
from accounts.rules import Rules
from accounts.signin import Grant, Granted
from audit.events import record
from devices import kinds
from devices.kinds import Ceremony, Proof, Shown
from devices.lifecycle import State
from devices.models import PENDING, UNCONFIRMED_LIFE, Device, Kind, forget_pending, lock_pending
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.site import this_site

MOST_PENDING = 5  # enrolments that one person may have begun and not confirmed
MOST_DEVICES = 50  # of one person; nobody carries more
NAME_LENGTH = 64


@dataclass(frozen=True)
class Begun:
    """An enrolment in progress: its ceremony, its device, and what the person must see."""

    sign_in: SignIn
    device: Device
    shown: Shown


def begin(user: User, kind: str, given: dict[str, str], started_by: UUID, client: Client, now: datetime) -> Begun:
    """A device of this kind waits for its confirmation by the same session or family. `given`: its `name`, if the person has
    one for it, and what the kind asks for; Refused MALFORMED for anything else."""
    with transaction.atomic():
        asked, uuid = rules.of(user.pk), uuid4()
        device = _new_device(user, kind, given, asked, now)
        about = Ceremony(uuid, user.uuid, attestation=asked.ask_for_attestation)
        shown = kinds.module(kind).begin(device, about, this_site(), now)
        columns: dict[str, Any] = {"uuid": uuid, "device": device, "kept": shown.kept, "started_by": started_by}
        ceremony = SignIn.begin(SignIn.Purpose.ENROL, user, client, now, **columns)
        record("enrolment_begun", client=client, person=user.uuid, device=device.uuid, sid=started_by, kind=kind)
    return Begun(ceremony, device, shown)


def begin_first(sign_in: SignIn, kind: str, given: dict[str, str], client: Client, now: datetime) -> Begun:
    """The same for the first device of a new account, inside its sign-in; an earlier choice is dropped."""
    if sign_in.state != SignIn.State.ENROLLING or sign_in.user is None:
        raise Refused(Reason.WRONG_STATE)
    with transaction.atomic():
        # Locks in the order of every other transaction: device, person, sign-in; another order would deadlock.
        dropped = lock_pending(Q(pk=sign_in.device_id))
        asked = rules.of_owner(sign_in)
        device = _new_device(sign_in.user, kind, given, asked, now)
        about = Ceremony(sign_in.uuid, sign_in.user.uuid, attestation=asked.ask_for_attestation)
        shown = kinds.module(kind).begin(device, about, this_site(), now)
        if not sign_in.choose(device.pk, shown.kept, now):
            raise Refused(Reason.SIGN_IN_OVER)
        Device.objects.filter(pk__in=dropped).delete()
        record("enrolment_begun", client=client, person=sign_in.user.uuid, device=device.uuid, kind=kind)
    return Begun(sign_in, device, shown)


def _new_device(user: User, kind: str, given: dict[str, str], asked: Rules, now: datetime) -> Device:
    site = this_site()
    module = dict(kinds.offered(site)).get(kind)
    if module is None or given.keys() - {"name"} != set(module.ASKS):
        raise Refused(Reason.MALFORMED)
    refuse_kind(kind, asked)
    forget_pending(Q(user=user, created_at__lt=now - UNCONFIRMED_LIFE))
    make_room(user)
    device = Device(user=user, kind=kind, name=clean_name(given.get("name", "")), state=State.ASSIGNED, created_at=now)
    module.fill(device, given, site)
    device.save(force_insert=True)
    return device


def refuse_kind(kind: str, asked: Rules) -> None:
    """Refused KIND_BLOCKED_BY_POLICY where these rules let nobody use a device of this kind."""
    if by := asked.against_kind(kind):
        title = str(kinds.module(kind).TITLE)
        detail = "The policy that applies to this person does not accept devices of this kind."
        raise Refused(Reason.KIND_BLOCKED_BY_POLICY, kind=title, by=by, detail=detail)


def make_room(user: User) -> None:
    """The person may have one device more, until the transaction ends; else Refused."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)  # or parallel ones would pass the limits together
    states = list(Device.objects.filter(user=user).exclude(state=State.RETIRED).values_list("state", "serial"))
    if states.count((State.ASSIGNED, "")) >= MOST_PENDING:
        raise Refused(Reason.TOO_MANY_ATTEMPTS, retry_after=int(UNCONFIRMED_LIFE.total_seconds()))
    if len(states) >= MOST_DEVICES:
        raise Refused(Reason.TOO_MANY_DEVICES)


def show_again(ceremony: SignIn, now: datetime, *, again: bool = False) -> Begun:
    """The enrolment in progress once more: the same seed, or a new challenge in place of the old one; the code that is on its
    way, or another one where the person asks for it (`again`)."""
    device = Device.objects.select_related("user").filter(PENDING, pk=ceremony.device_id).first()
    if device is None:
        raise Refused(Reason.SIGN_IN_OVER)
    attestation = rules.of_owner(ceremony).ask_for_attestation
    about = Ceremony(ceremony.uuid, ceremony.person.uuid, ceremony.kept, again, attestation)
    shown = kinds.module(device.kind).begin(device, about, this_site(), now)
    if not ceremony.choose(device.pk, shown.kept, now):
        raise Refused(Reason.SIGN_IN_OVER)
    return Begun(ceremony, device, shown)


def in_progress(user: User, started_by: UUID, now: datetime, **which: Any) -> SignIn | None:
    """The open enrolment that this session or family began, of this kind or device."""
    found = (
        rules.ceremonies()
        .select_related("user", "device")
        .filter(
            purpose=SignIn.Purpose.ENROL,
            state=SignIn.State.WAITING,
            user=user,
            started_by=started_by,
            expires_at__gt=now,
            **which,
        )
    )
    return found.order_by("-id").first()


def confirm(ceremony: SignIn, given: Any, client: Client, now: datetime) -> Device:
    """A right answer makes the device active, once; the device as it then is comes back.

    Refused NOT_SIGNED_IN if the session or family that began it has ended, also since the request was let in.
    """

    def finish(device: Device, proof: Proof) -> Device:
        if ceremony.started_by is None or not policy.stands(ceremony.started_by, ceremony.person, now):
            raise Refused(Reason.NOT_SIGNED_IN)
        if not ceremony.finish([], now):
            raise Refused(Reason.SIGN_IN_OVER)
        return device

    return _confirm(ceremony, given, finish, client, now)


def confirm_first(sign_in: SignIn, device: UUID, given: Any, grant: Grant[Granted], client: Client, now: datetime) -> Granted:
    """A right answer makes the first device active and finishes its sign-in, once."""
    if sign_in.state != SignIn.State.ENROLLING or sign_in.user is None:
        raise Refused(Reason.WRONG_STATE)
    pending = Device.objects.filter(uuid=device, user=sign_in.user, pk=sign_in.device_id or 0).first()
    if pending is None:
        raise Refused(Reason.NOT_FOUND)
    sign_in.device = pending

    def finish(device: Device, proof: Proof) -> Granted:
        return finish_first(sign_in, device, proof, grant, client, now)

    return _confirm(sign_in, given, finish, client, now)


def finish_first(
    sign_in: SignIn, device: Device, proof: Proof, grant: Grant[Granted], client: Client, now: datetime
) -> Granted:
    """Inside the transaction in which the first device became active: its sign-in is finished, once, if it is the first."""
    # Two such sign-ins at once: the row of the person decides which device is the first.
    person = User.objects.select_for_update(no_key=True).get(pk=device.user_id or 0)
    others = Device.ever_of(person.pk).exclude(pk=device.pk)
    if others.exists() or person.enrol_until is None or now >= person.enrol_until:
        raise Refused(Reason.SIGN_IN_OVER)
    return signin.finish(sign_in, device, proof, grant, client, now)


def _confirm(
    ceremony: SignIn, given: Any, finish: Callable[[Device, Proof], Granted], client: Client, now: datetime
) -> Granted:
    assert ceremony.device is not None and ceremony.user is not None
    claimed, kept = answering.claim(ceremony, ceremony.device.uuid, given, client, now, pending=True)
    kind = kinds.module(claimed.kind)
    try:
        proof = answering.judge(ceremony, claimed, kept, given, client, now, kind.confirm)
        with answering.giving_back(claimed):
            _refuse_unfit(ceremony, claimed, proof, client)
        with answering.giving_back(claimed), transaction.atomic():
            name = free_name(ceremony.user, claimed.name or kind.suggested_name(claimed, proof), claimed)
            if not claimed.activate(proof, name, now):
                raise Refused(Reason.ANSWER_USED)
            claimed.refresh_from_db()
            granted = finish(claimed, proof)
            who, by = ceremony.user.uuid, ceremony.started_by
            record("device_enrolled", client=client, person=who, device=claimed.uuid, sid=by, kind=claimed.kind)
            return granted
    except IntegrityError:
        # Between the look and the write somebody else registered the same credential.
        raise Refused(Reason.CREDENTIAL_TAKEN) from None
    except Refused:
        drop_if_refused(ceremony)
        raise


def _refuse_unfit(ceremony: SignIn, device: Device, proof: Proof, client: Client) -> None:
    """Refused KEY_NOT_ATTESTED for a key that did not prove what the policy asks; the audit says what was wrong with it."""
    if device.kind != Kind.FIDO2:
        return
    columns = proof.columns
    if rules.of_owner(ceremony).against_key(columns["attested"], columns["aaguid"]):
        who, why = ceremony.person.uuid, Reason.KEY_NOT_ATTESTED.name
        told = {"doubt": proof.doubt, "aaguid": str(columns["aaguid"]), "format": columns["attestation"]}
        record("enrolment_refused", client=client, person=who, device=device.uuid, reason=why, **told)
        raise Refused(Reason.KEY_NOT_ATTESTED, detail="The key did not prove to be of a model that the policy accepts.")


def drop_if_refused(ceremony: SignIn) -> None:
    """After the fifth wrong answer the device that was being enrolled is gone."""
    over = SignIn.objects.filter(pk=ceremony.pk, state=SignIn.State.REFUSED).exists()
    if over:
        forget_pending(Q(pk=ceremony.device_id))


def clean_name(name: str) -> str:
    """The name without surrounding spaces; Refused MALFORMED if it is too long or not printable."""
    name = name.strip()
    if len(name) > NAME_LENGTH or not name.isprintable():
        raise Refused(Reason.MALFORMED)
    return name


def free_name(user: User, name: str, but: Device) -> str:
    """The name, with a number behind it where the person has one of that name already."""
    taken = set(Device.objects.filter(user=user).exclude(state=State.RETIRED).exclude(pk=but.pk).values_list("name", flat=True))
    candidate, number = name[:NAME_LENGTH], 2
    while candidate in taken:
        candidate, number = f"{name[: NAME_LENGTH - 4]} {number}", number + 1
    return candidate
