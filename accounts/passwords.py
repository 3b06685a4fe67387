"""One's own password: what a new one must be, and changing it."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import known_browsers, policy
from accounts.models import User
from audit.events import record
from devices.models import Device
from mfa_site import limits
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

# NIST SP 800-63B-4 3.1.1.2: 15 characters where the password alone opens something, 8 where a second factor is asked for too.
ALONE, WITH_SECOND_FACTOR = 15, 8
LONGEST = 1024  # as much as the sign-in form takes


def shortest(user: User | None) -> int:
    """How long the person's password must be at least.

    Before the first device the password alone lets somebody enrol one. Afterwards it opens nothing without a second factor:
    whoever ever had a device cannot enrol a first one again, even if every device is lost.
    """
    had_one = user is not None and user.pk is not None and Device.ever_of(user.pk).exists()
    return WITH_SECOND_FACTOR if had_one else ALONE


class LongEnough:
    """Django's validator of lengths, with the person's own limit."""

    def validate(self, password: str, user: User | None = None) -> None:
        """ValidationError for one that is too short for this person, or longer than the forms take."""
        least = shortest(user)
        if len(password) < least:
            raise ValidationError(_("Use at least %(n)d characters. Several words are easy to remember.") % {"n": least})
        if len(password) > LONGEST:
            raise ValidationError(_("Use at most %(n)d characters.") % {"n": LONGEST})

    def get_help_text(self) -> str:
        """The same as advice."""
        return _("Use at least %(n)d characters.") % {"n": ALONE}


def prove(user: User, given: str, sid: UUID, client: Client, now: datetime) -> None:
    """The person knows the present password; else Refused BAD_CREDENTIALS, written down, or TOO_MANY_ATTEMPTS.

    The session counts as a known browser does: guesses from elsewhere do not keep its person from changing the password.
    """
    with limits.attempt(limits.Who(known_browsers.account(user), f"session {sid}"), client, now):
        if not user.check_password(given):
            reason = Reason.BAD_CREDENTIALS.name
            record("password_refused", client=client, person=user.uuid, sid=sid, reason=reason)
            raise Refused(Reason.BAD_CREDENTIALS)


def change(user: User, new: str, sid: UUID, keep: Callable[[], object], client: Client, now: datetime) -> None:
    """The password is the new one; every session and refresh family but `sid` has ended, and open sign-ins with them.

    `keep` gives the one that stays a new value. Of parallel changes one wins, the others are Refused SIGN_IN_OVER.
    """
    encoded = make_password(new)
    with transaction.atomic():
        same = User.objects.filter(pk=user.pk, is_active=True, password=user.password)
        if same.update(password=encoded) != 1:
            raise Refused(Reason.SIGN_IN_OVER)
        keep()
        policy.end_everything(user, "password_changed", now, but=sid)
        record("password_changed", client=client, person=user.uuid, sid=sid)
    user.password = encoded
