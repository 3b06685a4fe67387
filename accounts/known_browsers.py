"""Browsers in which somebody has signed in before: guesses from elsewhere do not delay them there (OWASP's device cookies).

The cookie holds a token for each of the last people: a random id, and a MAC that binds it to the person. It names nobody,
nothing of it is stored, and it opens nothing: with it, failures are counted on their own. A token that is not right for the
person, for whatever reason, is as none.
"""

import re
import secrets
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.models import User
from mfa_site import keyring
from mfa_site.client import Client
from mfa_site.limits import Who

PEOPLE = 5  # a family or a shift at one browser; a browser that many use is nobody's own
AGE = 400 * 24 * 3600  # as long as browsers keep a cookie at most
TOKEN = re.compile(r"\A([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})\Z")
NOBODY = UUID(int=0)


def who(person: User | None, name: str, client: Client) -> Who:
    """Whose password is tried in this request: the person, or nobody of this normalised name."""
    browser = token_id(client.browsers, person.uuid if person else NOBODY)
    return Who(account(person) if person else f"name {name}", browser)


def account(person: User) -> str:
    """The person's key in the limits, which no name that somebody types can be."""
    return f"person {person.uuid}"


def token_id(cookie: str, person: UUID) -> str:
    """The id of the person's token in the cookie; empty where there is none."""
    return next((found[1] for found in _tokens(cookie) if _is_of(found, person)), "")


def remember(request: HttpRequest, person: UUID) -> None:
    """The response to this request makes the browser a known one of this person, whom it may know already."""
    cookie = request.COOKIES.get(settings.KNOWN_COOKIE_NAME, "")
    kept = token_id(cookie, person) or secrets.token_urlsafe(16)
    others = [found[0] for found in _tokens(cookie) if not _is_of(found, person)]
    mac = keyring.mac(_bound(kept, person), "known-browser").removeprefix("v2.")
    request.META["mfa_site.known"] = "~".join([f"{kept}.{mac}", *others][:PEOPLE])


def keep(request: HttpRequest, response: HttpResponseBase) -> None:
    """What is to be remembered goes out as the cookie, if nothing went wrong since."""
    cookie: dict[str, Any] = {"path": "/", "samesite": "Lax", "secure": settings.SESSION_COOKIE_SECURE, "httponly": True}
    if (value := request.META.get("mfa_site.known")) and response.status_code < 400:
        response.set_cookie(settings.KNOWN_COOKIE_NAME, value, max_age=AGE, **cookie)


def _tokens(cookie: str) -> list[re.Match[str]]:
    return [found for part in cookie.split("~")[:PEOPLE] if (found := TOKEN.match(part))]


def _is_of(found: re.Match[str], person: UUID) -> bool:
    return keyring.mac_is_right(f"v2.{found[2]}", _bound(found[1], person), "known-browser")


def _bound(token: str, person: UUID) -> bytes:
    return f"{token}|{person}".encode()
