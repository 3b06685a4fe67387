"""Two consecutive codes of a hardware token: they line up one that is out of step, and claim one from the stock.

Attempts are counted before they are judged, as everywhere (`accounts.answering`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts import answering, enrolment, rules
from accounts.models import SignIn, User
from accounts.signin import Passed
from audit.events import record
from devices import kinds
from devices.kinds import Proof
from devices.lifecycle import State
from devices.models import WITH_SERIAL, Device
from devices.oath import RESYNC_WINDOW
from mfa_site import limits
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

Granted = TypeVar("Granted")

CLAIMS, CLAIMS_WITHIN = 10, timedelta(hours=1)  # serials that one person may try; nobody has as many tokens to claim


def resync(
    device: Device, answers: list[str], client: Client, now: datetime, *, window: int = RESYNC_WINDOW, actor: UUID | None = None
) -> Device:
    """The device is lined up by its two codes, which are used up; as it then is, it comes back. `actor`: who did it, if not its
    owner. Refused WRONG_STATE for a kind that has nothing to line up; CODES_NOT_CONSECUTIVE, ANSWER_USED as for an answer."""
    kind = kinds.module(device.kind)
    if not kind.can_resync(device):
        raise Refused(Reason.WRONG_STATE)
    claimed = None if device.kind in settings.KINDS_OFF else Device.claim(device.user_id or 0, device.uuid, now)
    if claimed is None:
        raise answering.refusal(device, now)
    claimed.user = device.user
    owner = device.user.uuid if device.user else None
    proof = _judge(claimed, owner, answers, window, client, now, actor=actor)
    with answering.giving_back(claimed), transaction.atomic():
        if not kind.spend(claimed, proof, now):
            raise Refused(Reason.ANSWER_USED, device=claimed.name)
        claimed.refresh_from_db()
        which, drift = claimed.uuid, claimed.drift
        record("device_resynced", client=client, person=owner, actor=actor, device=which, kind=claimed.kind, drift=drift)
    return claimed


def claim(user: User, given: dict[str, str], answers: list[str], client: Client, now: datetime) -> Device:
    """The token in stock with this serial is the person's and active, by two codes of it. `given`: `serial`, and `kind` and
    `name` if they were said.

    Refused CODES_NOT_OF_SERIAL where there is none, it belongs to somebody, its time is over, or the codes are not its own: in
    one word. MALFORMED for a kind that comes without serials, or is off.
    """
    return _claim(user, given, answers, lambda device, _proof: device, client, now)


def claim_first(
    sign_in: SignIn,
    given: dict[str, str],
    answers: list[str],
    grant: Callable[[Passed], Granted],
    client: Client,
    now: datetime,
) -> Granted:
    """The same for the first device of a new account: its sign-in is finished by it, and `grant` carried out."""
    if sign_in.state != SignIn.State.ENROLLING or sign_in.user is None:
        raise Refused(Reason.WRONG_STATE)

    def finish(device: Device, proof: Proof) -> Granted:
        return enrolment.finish_first(sign_in, device, proof, grant, client, now)

    return _claim(sign_in.user, given, answers, finish, client, now)


def _claim(
    user: User,
    given: dict[str, str],
    answers: list[str],
    finish: Callable[[Device, Proof], Granted],
    client: Client,
    now: datetime,
) -> Granted:
    wanted = given.get("kind")
    if wanted not in (None, *WITH_SERIAL) or wanted in settings.KINDS_OFF or given.keys() - {"kind", "serial", "name"}:
        raise Refused(Reason.MALFORMED)
    asked = rules.of(user.pk)
    if wanted:
        enrolment.refuse_kind(wanted, asked)
    name, serial = enrolment.clean_name(given.get("name", "")), given["serial"].strip().upper()
    limits.hit("claim-by-serial", str(user.uuid), CLAIMS, CLAIMS_WITHIN, now)
    of_kind = {"kind": wanted} if wanted else {}
    off = settings.KINDS_OFF | {kind for kind in WITH_SERIAL if asked.against_kind(kind)}
    found = Device.objects.filter(serial=serial, state=State.IN_STOCK, user=None, **of_kind).exclude(kind__in=off)
    row = found.first() if serial else None
    claimed = row and Device.claim_in_stock(row.uuid, now)
    if row is None or claimed is None:
        refused = answering.refusal(row, now) if row and row.is_paused(now) else Refused(Reason.CODES_NOT_OF_SERIAL)
        refused.facts["in_stock"] = True
        record("claim_refused", client=client, person=user.uuid, device=row and row.uuid, reason=refused.reason.name)
        raise refused
    proof = _judge(claimed, user.uuid, answers, RESYNC_WINDOW, client, now, wrong=Reason.CODES_NOT_OF_SERIAL)
    with answering.giving_back(claimed), transaction.atomic():
        Device.objects.select_for_update().get(pk=claimed.pk)  # before the person's, as in every transaction
        enrolment.make_room(user)
        called = enrolment.free_name(user, name or str(kinds.module(claimed.kind).suggested_name(claimed, proof)), claimed)
        if not claimed.take_from_stock(user.pk, proof, called, now):
            raise Refused(Reason.CODES_NOT_OF_SERIAL)
        claimed.refresh_from_db()
        granted = finish(claimed, proof)
        record("device_enrolled", client=client, person=user.uuid, device=claimed.uuid, kind=claimed.kind, claimed=True)
    return granted


def _judge(
    claimed: Device,
    person: UUID | None,
    answers: list[str],
    window: int,
    client: Client,
    now: datetime,
    *,
    wrong: Reason | None = None,
    actor: UUID | None = None,
) -> Proof:
    """What the two codes prove. Wrong ones stay counted and may pause the token; `wrong`: the one reason that is given then."""
    try:
        with answering.giving_back(claimed):
            return kinds.module(claimed.kind).resync(claimed, answers, window, now)
    except Refused as refused:
        if refused.reason.is_wrong_answer:
            with transaction.atomic():
                if claimed.user_id and person:
                    answering.rest(claimed, person, client, now)
                else:
                    claimed.pause_in_stock(now)  # nobody's yet: nobody is told
                who = {"person": person, "actor": actor, "device": claimed.uuid}
                record("answer_refused", client=client, **who, reason=refused.reason.name)
            if wrong:
                raise Refused(wrong) from None
        refused.facts.setdefault("device", claimed.name or claimed.serial)
        raise
