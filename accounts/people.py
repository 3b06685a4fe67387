"""People, as administrators make and help them: created, given time for a first device, signed out everywhere."""

import base64
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import policy
from accounts.models import SignIn, User
from accounts.models.user import FIRST_ENROLMENT
from audit.events import record
from devices.models import Device
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

LONGEST_FIRST_ENROLMENT = timedelta(days=30)
FIRST_PASSWORD_BYTES = 10  # 80 bits, 16 letters and digits


def create(
    username: str,
    email: str,
    name: str,
    client: Client,
    now: datetime,
    *,
    actor: UUID,
    enrol_within: timedelta = FIRST_ENROLMENT,
) -> tuple[User, str]:
    """A person who may enrol a first device within that time, and their first password in clear, this once.

    Refused, with `detail` in words: WRONG_STATE for a name that is taken, MALFORMED for what is no name or address.
    """
    if not timedelta() < enrol_within <= LONGEST_FIRST_ENROLMENT:
        raise Refused(Reason.MALFORMED)
    taken = Refused(Reason.WRONG_STATE, detail=_("There is already a person called %(name)s.") % {"name": username})
    if User.objects.named(username):
        raise taken
    password = first_password()
    try:
        with transaction.atomic():
            until = now + enrol_within
            person = User.objects.create_user(username, email, password, name=name, date_joined=now, enrol_until=until)
            told = until.isoformat(timespec="seconds")
            record("person_created", client=client, person=person.uuid, actor=actor, enrol_until=told)
    except ValidationError as error:
        raise Refused(Reason.MALFORMED, detail=" ".join(error.messages)) from None
    except IntegrityError:  # somebody of that name was created at the same moment
        raise taken from None
    return person, password


def first_password() -> str:
    """80 random bits in groups that can be read aloud."""
    letters = base64.b32encode(secrets.token_bytes(FIRST_PASSWORD_BYTES)).decode().lower()
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))


def renew_first_enrolment(
    person: User, client: Client, now: datetime, *, actor: UUID, within: timedelta = FIRST_ENROLMENT
) -> datetime:
    """The person, who never had a device, may enrol a first one until then. Refused WRONG_STATE for whoever had one: their
    password alone must open nothing any more."""
    if not timedelta() < within <= LONGEST_FIRST_ENROLMENT:
        raise Refused(Reason.MALFORMED)
    until = now + within
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).get(pk=person.pk)
        if not locked.is_active or has_had_device(locked):
            raise Refused(Reason.WRONG_STATE)
        User.objects.filter(pk=person.pk).update(enrol_until=until)
        told = until.isoformat(timespec="seconds")
        record("first_enrolment_renewed", client=client, person=person.uuid, actor=actor, enrol_until=told)
    person.enrol_until = until
    return until


def has_had_device(person: User) -> bool:
    """Whether the person has or had a device; one that went back to the stock took `enrol_until` away with it."""
    return person.enrol_until is None or Device.ever_of(person.pk).exists()


def end_sessions(person: User, client: Client, now: datetime, *, actor: UUID) -> int:
    """Every session and refresh family of the person is ended, and sign-ins in progress with them; how many were."""
    with transaction.atomic():
        ended = policy.end_everything(person, "ended_by_administrator", now)
        SignIn.refuse_all(person, now)
        record("sessions_ended", client=client, person=person.uuid, actor=actor, ended=ended)
    return ended
