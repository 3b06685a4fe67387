"""What happened to one's account, in words: the person's own audit events."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.user_agents import in_words
from audit.models import Event
from devices.models import Device

PAGE = 20

SENTENCES: dict[str, str | Promise] = {
    "attestation_lost": _("%(device)s is of a model that is not trusted any more"),
    "claim_refused": _("A serial was entered with which no token was claimed"),
    "code_not_sent": _("A code could not be sent to %(device)s"),
    "device_handed_out": _("%(device)s was handed out to you"),
    "device_taken_back": _("A token of yours was taken back"),
    "device_resynced": _("%(device)s was lined up with two codes"),
    "answer_refused": _("A wrong answer for %(device)s"),
    "device_disabled": _("%(device)s was switched off after too many wrong answers"),
    "device_enrolled": _("%(device)s was added"),
    "device_lost": _("%(device)s was reported lost"),
    "device_paused": _("%(device)s rests after several wrong answers"),
    "device_removed": _("%(device)s was removed"),
    "device_renamed": _("%(device)s got its name"),
    "device_suspended": _("%(device)s was suspended, because it answered as a copy would"),
    "device_tested": _("%(device)s was tried out"),
    "enrolment_begun": _("Adding a device was begun"),
    "enrolment_refused": _("A security key was not added, because it did not prove to be of an accepted model"),
    "group_created": _("A group was created"),
    "group_joined": _("Your account came into a group whose policy applies to you"),
    "group_left": _("Your account left a group whose policy applied to you"),
    "notice_given_up": _("A mail to you could not be delivered"),
    "password_changed": _("The password was changed"),
    "password_forgotten": _("A mail to set a new password was asked for"),
    "password_passed": _("Signing in was begun with the right password"),
    "password_refused": _("A wrong password was entered"),
    "password_reset": _("The password was set anew by mail"),
    "first_enrolment_renewed": _("More time was given to add a first device"),
    "person_created": _("Your account was created"),
    "roles_changed": _("Your roles as an administrator were changed"),
    "person_changed": _("Your name or e-mail address was changed"),
    "person_disabled": _("Your account was disabled"),
    "policy_changed": _("A policy was changed"),
    "recovery_code_used": _("A recovery code was used"),
    "recovery_codes_made": _("New recovery codes were made"),
    "refresh_family_revoked": _("A program was signed out"),
    "refresh_token_reused": _("A program was signed out, because its token was used twice: somebody may have copied it"),
    "session_ended": _("A session was ended"),
    "sessions_ended": _("All other sessions were ended"),
    "sign_in_cancelled": _("Signing in was cancelled"),
    "sign_in_refused": _("Stopped after too many wrong answers"),
    "signed_in": _("Signed in with %(device)s"),
    "signed_out": _("Signed out"),
    "step_up_begun": _("A confirmation was begun"),
    "temporary_code_issued": _("A temporary code was issued"),
    "temporary_code_used": _("A temporary code was used"),
    "stepped_up": _("Confirmed with %(device)s"),
}


@dataclass(frozen=True)
class Line:
    """One event: what happened, when, from where (empty if that was erased), and whether somebody else did it."""

    id: int
    at: datetime
    what: str
    program: str
    address: str
    by_other: bool


def of(user: User, before: int | None = None, most: int = PAGE) -> tuple[list[Line], int | None]:
    """The person's events, newest first, from before that id on; and the id to go on from, None at the end."""
    found = Event.objects.filter(person=user.uuid).order_by("-id")
    events = list((found.filter(id__lt=before) if before else found)[: most + 1])
    uuids = {event.device for event in events if event.device}
    names: dict[UUID, str] = dict(Device.objects.filter(user=user, uuid__in=uuids).values_list("uuid", "name")) if uuids else {}
    lines = [line(event, names) for event in events[:most]]
    return lines, lines[-1].id if len(events) > most else None


def line(event: Event, names: dict[UUID, str]) -> Line:
    """The event in words; an act that is not known here by its own name."""
    sentence = SENTENCES.get(event.act) or event.act.replace("_", " ").capitalize().replace("%", "%%")
    name = names.get(event.device) if event.device else ""
    what = str(sentence) % {"device": f"“{name}”" if name else str(_("a device"))}
    where = event.personal or {}
    program = in_words(where["user_agent"]) if where.get("user_agent") else ""
    by_other = event.actor is not None and event.actor != event.person
    return Line(event.id, event.at, what[:1].upper() + what[1:], program, where.get("address", ""), by_other)


def password_changed_at(user: User) -> datetime | None:
    """When the person last had another password; None if it is the first."""
    acts = ("password_changed", "password_reset")
    found = Event.objects.filter(person=user.uuid, act__in=acts).order_by("-id").values_list("at", flat=True)
    return found.first()
