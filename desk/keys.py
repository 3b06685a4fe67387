"""A security key is enrolled for somebody else, in the administrator's machine: the key is the person's, the ceremony belongs
to the administrator's session or token family, and nobody but it can confirm."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone

from accounts import enrolment
from accounts.models import User
from desk.api import somebody
from desk.approvals import approved
from desk.gate import refuse_higher
from devices.models import Device, Kind
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import check


def holder(user: User, uuid: UUID) -> User:
    """The person for whom this administrator may enrol a key; Refused NOT_FOUND, NOT_PERMITTED. Never oneself: what is one's
    own is added on one's own pages, under their rules."""
    found = somebody(uuid)
    refuse_higher(user, found)
    if found == user:  # a superuser too
        raise Refused(Reason.NOT_PERMITTED)
    return found


def begin(request: HttpRequest, user: User, person: User, given: dict[str, str]) -> enrolment.Begun:
    """The person's new key waits for its registration, by this session or family of the administrator. Refused as by
    `approved` too."""
    sid, who, now = check(request).sid, client(request), timezone.now()
    with approved("administrators", f"key:{person.uuid}", user, who, now, person=person):
        return enrolment.begin(person, Kind.FIDO2, given, sid, who, now, by=user)


def go_on(request: HttpRequest, user: User, person: User) -> enrolment.Begun:
    """What this session began for the person, with a new challenge, or else a new beginning; Refused WRONG_STATE for somebody
    who is disabled."""
    if not person.is_active:
        raise Refused(Reason.WRONG_STATE)
    sid, now = check(request).sid, timezone.now()
    ceremony = enrolment.in_progress(person, sid, now, device__kind=Kind.FIDO2, device__enrolled_by=user.uuid)
    return enrolment.show_again(ceremony, now) if ceremony else begin(request, user, person, {})


def confirm(request: HttpRequest, user: User, person: User, answer: Any, **which: Any) -> Device:
    """The registration made the person's key active. `which`: of what this session began for the person; Refused NOT_FOUND
    where that is none."""
    sid, now = check(request).sid, timezone.now()
    ceremony = enrolment.in_progress(person, sid, now, device__enrolled_by=user.uuid, **which)
    if ceremony is None:
        raise Refused(Reason.NOT_FOUND)
    return enrolment.confirm(ceremony, answer, client(request), now, by=user)
