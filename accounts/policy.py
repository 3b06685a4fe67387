"""What follows from facts on the rows, never from a request: strength, order of devices, what a device opened."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Subquery

from accounts import rules
from accounts.models import BrowserSession, User
from devices import kinds
from devices.kinds import Facts
from devices.lifecycle import State
from devices.models import Device
from grants import refresh
from mfa_site.proof import ACR, STEP_UP, STEP_UP_MAX_AGE, Needed, RequestProof

TEMPORARY_MAX_AGE = 1800  # seconds: a code that opens once cannot be confirmed with, and the new device has to be fetched
WEAK = ACR[0]  # codes by e-mail and of an administrator


def strength(methods: Iterable[str], facts: Facts, limited: bool = False) -> tuple[list[str], str]:
    """`amr` (RFC 8176) and `acr` of a sign-in in which these methods and a device with these facts passed.

    `mfa` is said only where the device counts as a second factor. `limited`: the person's policy asks for more, so that it
    opens only what adding a device takes.
    """
    acr = WEAK if limited else facts.acr
    return [*methods, *facts.amr, *(["mfa"] if acr != WEAK else [])], acr


def needed_to_enrol(user: User, proof: RequestProof) -> Needed:
    """What adding a device needs: a fresh proof, and a strong one but for who has a temporary code, a recovery code where the
    policy asks for more, or nothing stronger."""
    if "tmp" in proof.amr:
        return {"max_age": TEMPORARY_MAX_AGE}
    if "rc" in proof.amr:
        return {"max_age": STEP_UP_MAX_AGE}
    if proof.acr == WEAK and not has_strong(user):
        return {"max_age": STEP_UP_MAX_AGE}
    return STEP_UP


def is_strong(device: Device) -> bool:
    """Whether its answer can be worth more than one's own security pages."""
    return kinds.module(device.kind).ACR != WEAK


def has_strong(user: User) -> bool:
    """Whether the person has what proves more than the weakest, recovery codes left out.

    A device that rests or is switched off counts: whoever knows the password can bring that about by wrong answers.
    """
    return any(is_strong(row) and not kinds.module(row.kind).STANDS_IN for row in Device.of(user.pk))


def strong_of(devices: Iterable[Device]) -> list[Device]:
    """Those whose answers can be worth more than the weakest, unless they are switched off or not for the person's policy; one
    may rest just now."""
    return [row for row in devices if is_strong(row) and not row.is_disabled and _is_enough(row)]


def _is_enough(device: Device) -> bool:
    asked = rules.of_owner(device)
    return not asked.against(device) and not asked.is_above(kinds.module(device.kind).ACR)


def in_order(devices: Iterable[Device], remembered: str = "") -> list[Device]:
    """The one this browser used last, then the strongest, then the one used last. Codes come last."""

    def rank(device: Device) -> tuple[bool, bool, int, float]:
        used = device.last_used_at.timestamp() if device.last_used_at else 0.0
        kind = kinds.module(device.kind)
        return (kind.STANDS_IN, str(device.uuid) != remembered, -kind.STRENGTH, -used)

    return sorted(devices, key=rank)


def end_what_it_opened(device: Device, reason: str, now: datetime) -> None:
    """Every browser session and refresh family that this device opened is ended."""
    BrowserSession.end(Q(device=device), reason, now)
    refresh.end(Q(device=device.uuid), reason, now)


def hand_over(sid: UUID, old: Device, new: Device) -> None:
    """The session or refresh family goes on under the device that took the other's place."""
    BrowserSession.objects.filter(uuid=sid, device=old).update(device=new)
    refresh.hand_over(sid, old.uuid, new.uuid)


def stands(sid: UUID, person: User, now: datetime) -> bool:
    """Whether the person's session or refresh family of this sid is alive; it stays so until the transaction ends.

    One statement; the person's row is locked before the other, as by whoever changes a password.
    """
    locked = User.objects.select_for_update(no_key=True).filter(pk=person.pk)
    sessions = BrowserSession.objects.select_for_update(no_key=True).filter(BrowserSession.living(person, now), uuid=sid)
    families = refresh.of(person.uuid, now).select_for_update(no_key=True).filter(behind_a_family(), uuid=sid)
    session = Exists(sessions.filter(person_id=Subquery(locked.values("pk"))))
    family = Exists(families.filter(person=Subquery(locked.values("uuid"))))
    return User.objects.filter(session | family, pk=person.pk).exists()


def end_everything(person: User, reason: str, now: datetime, but: UUID | None = None) -> int:
    """Every browser session and refresh family of the person is ended, the one with the sid `but` left out; how many were."""
    ended = BrowserSession.end(Q(person=person) & ~Q(uuid=but), reason, now)
    return ended + refresh.end(Q(person=person.uuid) & ~Q(uuid=but), reason, now)


def behind_a_family() -> Q:
    """The condition on a refresh family that its person is active and its device may be used."""
    person = User.objects.filter(uuid=OuterRef("person"), is_active=True)
    device = Device.objects.filter(uuid=OuterRef("device"), state=State.ACTIVE)
    return Q(Exists(person), Exists(device))
