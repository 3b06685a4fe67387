"""Invitations: an administrator makes one for a person, who enrols one device with it, after the password (decision 0010).

Looking at one changes nothing. It opens by its link or its typed code, and is used up by the device that becomes active.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import answering, signin
from accounts.models import Invitation, SignIn, User
from accounts.models.invitation import LIFE, UNUSED
from audit.events import record
from devices import kinds, typed_codes
from devices.kinds import Proof
from devices.models import Device
from mfa_site import keyring, limits
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.site import this_site

LINK_BYTES = 16  # 128 bits: nobody guesses one, so guesses at links are not counted
CODE_LENGTH, CODE_GROUP = 10, 5  # 50 bits, as people read them; guesses are counted
MADE = "invitation_made"
GUESSES, GUESSES_WITHIN = 10, timedelta(minutes=10)  # from one network; an office behind one address mistypes less
GUESSES_IN_ALL, ALL_WITHIN = 300, timedelta(hours=1)  # then only links work; in a day one guess in 10^11 has a chance


@dataclass(frozen=True)
class Made:
    """An invitation and its two secrets in clear, this once."""

    invitation: Invitation
    url: str
    code: str


def make(
    person: User, wanted: Iterable[str], client: Client, now: datetime, *, actor: UUID, ask_surviving_factor: bool = True
) -> Made:
    """An invitation to enrol one device of one of these kinds, in place of any other of that person, who gets a notice.

    With `ask_surviving_factor` one of the strong devices that the person still has, if any, is asked for first. `actor`: who
    makes it. Refused MALFORMED for kinds that nobody can enrol here; NOT_PERMITTED for oneself; WRONG_STATE for a
    person who is disabled, or where another was made at the same moment.
    """
    chosen = in_offered_order(wanted)
    if actor == person.uuid:
        raise Refused(Reason.NOT_PERMITTED)
    link, code = secrets.token_urlsafe(LINK_BYTES), typed_codes.new(CODE_LENGTH, CODE_GROUP)
    row = Invitation(person=person, kinds=chosen, ask_surviving_factor=ask_surviving_factor, made_by=actor)
    row.created_at, row.expires_at = now, now + LIFE
    row.link_hash, row.code_hash = _link_hash(link), _code_hash(typed_codes.clean(code, CODE_LENGTH))
    try:
        with transaction.atomic():
            if not User.objects.select_for_update(no_key=True).filter(pk=person.pk, is_active=True).exists():
                raise Refused(Reason.WRONG_STATE, detail=_("That person is disabled."))
            withdraw_all(person, now)
            row.save(force_insert=True)
            about: dict[str, Any] = {"kinds": chosen, "ask_surviving_factor": ask_surviving_factor}
            record(MADE, client=client, person=person.uuid, actor=actor, invitation=str(row.uuid), **about)
    except IntegrityError:
        raise Refused(Reason.WRONG_STATE, detail=_("Another invitation was made at the same moment.")) from None
    return Made(row, settings.BASE_URL + reverse("invitation", args=[link]), code)


def in_offered_order(wanted: Iterable[str]) -> list[str]:
    """These kinds, each once, strongest first; Refused MALFORMED for none, and for one that nobody can enrol here."""
    asked, offered = list(wanted), [name for name, _module in kinds.offered(this_site())]
    if not asked or any(type(kind) is not str or kind not in offered for kind in asked) or len(set(asked)) < len(asked):
        raise Refused(Reason.MALFORMED, detail=f"kinds is a list of some of {', '.join(offered)}.")
    return [kind for kind in offered if kind in asked]


def withdraw_all(person: User, now: datetime) -> None:
    """None of the person's invitations is open any more."""
    Invitation.objects.filter(UNUSED, person=person).update(withdrawn_at=now)


def withdraw(invitation: Invitation, client: Client, now: datetime, *, actor: UUID) -> None:
    """It is withdrawn; Refused WRONG_STATE if it was used, withdrawn or over already."""
    with transaction.atomic():
        if not invitation.withdraw(now):
            raise Refused(Reason.WRONG_STATE)
        who, which = invitation.person.uuid, str(invitation.uuid)
        record("invitation_withdrawn", client=client, person=who, actor=actor, invitation=which)


def by_link(code: str, now: datetime) -> Invitation:
    """The invitation of this link that may be used now; Refused INVITATION_OVER for every other. Changes nothing."""
    return _open(now, link_hash=_link_hash(code))


def by_uuid(uuid: str, now: datetime) -> Invitation:
    """The one that a browser has opened, if it may still be used; Refused INVITATION_OVER."""
    return _open(now, uuid=uuid)


def by_either(given: str, client: Client, now: datetime) -> Invitation:
    """The invitation of this link or this typed code that may be used now. Typed codes are counted before they are looked up.

    Refused INVITATION_OVER for a link; CODE_NOT_OF_INVITATION for a typed code; TOO_MANY_ATTEMPTS, for right and wrong alike.
    """
    code = typed_codes.clean(given, CODE_LENGTH)
    if not code:
        if len(given.strip()) < 2 * CODE_LENGTH:  # too short for a link: somebody mistyped a code
            raise Refused(Reason.CODE_NOT_OF_INVITATION)
        return by_link(given.strip(), now)
    counted = (("invitation-code", client.network), ("invitation-codes", ""))
    limits.hit(*counted[0], GUESSES, GUESSES_WITHIN, now)
    limits.hit(*counted[1], GUESSES_IN_ALL, ALL_WITHIN, now)
    found = _usable(now, code_hash=_code_hash(code))
    if found is None:
        record("invitation_refused", client=client, reason=Reason.CODE_NOT_OF_INVITATION.name)
        raise Refused(Reason.CODE_NOT_OF_INVITATION)
    for name, key in counted:
        limits.give_back(name, key, now)
    return found


def opened(invitation: Invitation, client: Client, now: datetime) -> None:
    """It is known that somebody went on with it; it is good until its end, or until a device is enrolled."""
    with transaction.atomic():
        if invitation.open(now):
            record("invitation_opened", client=client, person=invitation.person.uuid, invitation=str(invitation.uuid))


def vouch(sign_in: SignIn, device: UUID, given: Any, client: Client, now: datetime) -> None:
    """A right answer of a device that the person still has: the sign-in by invitation is ENROLLING now, nobody is signed in."""
    invitation = sign_in.invitation
    if invitation is None:
        raise Refused(Reason.WRONG_STATE)

    def then(used: Device, proof: Proof) -> None:
        if not signin.may_answer(sign_in, used):
            raise Refused(Reason.DEVICE_NOT_USABLE, device=used.name)
        facts = kinds.module(used.kind).facts(used, proof)
        if not sign_in.go_on_to_enrol([*sign_in.methods, *facts.amr], now):
            raise Refused(Reason.SIGN_IN_OVER)
        who, which = sign_in.person.uuid, str(invitation.uuid)
        record("invitation_vouched", client=client, person=who, device=used.uuid, invitation=which, kind=used.kind)
        if facts.act:
            record(facts.act, client=client, person=who, device=used.uuid, left=facts.left)

    answering.prove(sign_in, device, given, then, client, now)


def _usable(now: datetime, **which: str) -> Invitation | None:
    found = Invitation.objects.usable(now).select_related("person").filter(person__is_active=True, **which)
    return found.first()


def _open(now: datetime, **which: str) -> Invitation:
    found = _usable(now, **which)
    if found is None:
        raise Refused(Reason.INVITATION_OVER)
    return found


def _link_hash(code: str) -> str:
    return keyring.mac(code.encode(errors="replace"), "invitation-link")


def _code_hash(code: str) -> str:
    return keyring.mac(code.encode(), "invitation-code")
