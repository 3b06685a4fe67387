"""Judging a password: counted first, through Django's backends, the same words and time for every name."""

import logging
from datetime import datetime
from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts import known_browsers
from accounts.models import User
from accounts.models.user import NAME_LENGTH, normalised
from audit.events import record
from mfa_site import keyring, limits
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

log = logging.getLogger(__name__)


def judge(request: HttpRequest, username: str, password: str, client: Client, now: datetime) -> User:
    """The person of this name, whose password this is.

    Refused BAD_CREDENTIALS for an unknown name, an inactive person and a wrong password alike; TOO_MANY_ATTEMPTS, and
    nothing was judged, for a right and a wrong one.
    """
    person, name = User.objects.named(username), normalised(username[:NAME_LENGTH])
    try:
        with limits.attempt(known_browsers.who(person, name, client), client, now):
            user = authenticate(request, username=username, password=password, person=person)
            if user is None:
                raise Refused(Reason.BAD_CREDENTIALS)
    except Refused as refused:
        # The name as a keyed hash: an attacked account can be found, a password typed into the wrong field cannot.
        # What was not judged goes to the log alone: a stranger could fill the audit with it.
        mac, reason = keyring.mac(name.encode(), "username"), refused.reason
        if reason is Reason.BAD_CREDENTIALS:
            record("password_refused", client=client, reason=reason.name, name=mac)
        else:
            log.info("password_not_judged", extra={"reason": reason.name, "request_id": client.request_id})
        raise
    assert isinstance(user, User)
    return user


class OwnPasswords(ModelBackend):
    """The passwords kept here, for a person who was looked up before; with a directory, its backend stands beside this."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **about: Any
    ) -> Any:
        """The person if the password is right and they are active, else None after the same work."""
        if "person" not in about or password is None:
            return super().authenticate(request, username=username, password=password, **about)
        person: User | None = about["person"]
        if person is None:
            User().set_password(password)  # as much work as judging one
            return None
        return person if person.check_password(password) and self.user_can_authenticate(person) else None
