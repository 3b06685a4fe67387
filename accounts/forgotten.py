"""A forgotten password: asked for by name, answered by mail, changed by whoever holds the link.

The page does the same for every name, and the worker everything that depends on it. The link changes the password
and ends what was open; it signs nobody in and touches no device.
"""

import secrets
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils.crypto import constant_time_compare

from accounts import policy, signin
from accounts.models import PasswordReset, User
from accounts.models.user import NAME_LENGTH, normalised
from audit.events import record
from mfa_site import keyring, limits
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.keyring import token_hash

LIFE = timedelta(minutes=30)  # long enough for a slow mail server, short enough for a mailbox left open
MOST, WITHIN = 30, timedelta(hours=1)  # asked for from one network; an office behind one address forgets less


def ask(username: str, client: Client, now: datetime) -> None:
    """It is written down that a new password was asked for under this name; the same for every name.

    Refused TOO_MANY_ATTEMPTS for whoever asks too often, whatever the names.
    """
    limits.hit("password_forgotten", client.network, MOST, WITHIN, now)
    key = normalised(username[:NAME_LENGTH])
    person = User.objects.filter(username_key=key).values_list("uuid", flat=True).first()
    record("password_forgotten", client=client, person=person, name=keyring.mac(key.encode(), "username"))


def new_code(person: User, now: datetime) -> str:
    """128 random bits for the person's link, kept as a hash; older links are dead. Empty for whom no password signs in.

    Empty too while a first device may be enrolled: the mailbox alone would be enough for the whole account then.
    """
    if not person.is_active or not person.has_usable_password() or signin.may_enrol_first(person, now):
        return ""
    code = secrets.token_urlsafe(16)
    PasswordReset.objects.create(
        code_hash=token_hash(code),
        user=person,
        password_mark=person.password_mark(),
        created_at=now,
        expires_at=now + LIFE,
    )
    return code


def by_code(code: str, now: datetime) -> PasswordReset:
    """The link of this code, which may be used now; Refused NOT_FOUND for every other. Uses up nothing."""
    row = PasswordReset.objects.usable(now).select_related("user").filter(code_hash=token_hash(code)).first()
    if row is None or not constant_time_compare(row.user.password_mark(), row.password_mark):
        raise Refused(Reason.NOT_FOUND)
    return row


def choose(link: PasswordReset, password: str, client: Client, now: datetime) -> None:
    """The link is used up, the person has the new password, and all sessions and token families are ended; once."""
    person, hashed = link.user, make_password(password)  # before any lock: it is slow
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=person.pk)
        if not link.use(now):
            raise Refused(Reason.NOT_FOUND)
        if User.objects.filter(pk=person.pk, password=person.password).update(password=hashed) != 1:
            raise Refused(Reason.NOT_FOUND)
        policy.end_everything(person, "password_reset", now)
        record("password_reset", client=client, person=person.uuid)
