"""Who is asking: a session cookie or a bearer token, never both, becomes `request.session`, `user` and `proof`.

Both stand for two factors that passed. A half-finished sign-in leaves `user` anonymous and `proof` None.
"""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject
from django_otp.middleware import is_verified

from accounts import known_browsers
from accounts.models import User
from accounts.sessions import SessionStore
from devices.models import uuid_parameter
from grants import access
from mfa_site import faults
from mfa_site.api import SAFE
from mfa_site.middleware import AWAY
from mfa_site.proof import RequestProof

WITHOUT_CALLER = ("/livez", "/readyz", "/static/", "/.well-known/")
# A second click on "Continue" comes with the value that the first has replaced: its answer must not delete the new one.
SIGNING_IN = ("/sign-in/", "/enrol/", "/api/v1/sign-ins")


def who(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """The middleware: knows the caller before the view, keeps the session after it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        set_caller(request, SessionStore(), AnonymousUser(), None)
        if request.path.startswith(WITHOUT_CALLER):
            return get_response(request)
        try:
            # Pages are for browsers: there a bearer means nothing, and no GET begins an enrolment for one.
            if faults.for_machines(request) and request.headers.get("Authorization", "").lower().startswith("bearer"):
                by_bearer(request)
            else:
                by_cookie(request)
            response = get_response(request)
            keep_session(request, response)
            known_browsers.keep(request, response)
        except AWAY as error:
            return faults.unavailable(request, error)
        return response

    return middleware


def set_caller(request: Any, session: SessionStore, user: Any, proof: RequestProof | None) -> None:
    """The three things that views read of the caller."""
    request.session, request.user, request.proof = session, user, proof
    if proof is None or proof.by == "session":
        user.otp_device = getattr(user, "otp_device", None)
        user.is_verified = functools.partial(is_verified, user)  # django-otp's word for it


def by_cookie(request: HttpRequest) -> None:
    """The session of the cookie, in one statement; a request without one costs none."""
    value = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    session = request.session = SessionStore(value[:200] if value else None)
    if session.row is not None and session.row.person_id:
        session.used(timezone.now())
    row = session.row
    if row is None or row.person is None or row.auth_time is None:
        return
    user: Any = row.person
    user.otp_device = row.device
    set_caller(request, session, user, RequestProof(user.uuid, row.uuid, tuple(row.amr), row.acr, row.auth_time, "session"))


def by_bearer(request: HttpRequest) -> None:
    """The proof in the access token, without a statement; an unsafe call is checked against what is alive now."""
    scheme, _, token = request.headers["Authorization"].partition(" ")
    now = timezone.now()
    claims = access.verify(token, now) if scheme.lower() == "bearer" else None
    if claims is None:
        return
    person, sid = UUID(claims["sub"]), UUID(claims["sid"])
    if request.method not in SAFE and not family_is_alive(sid, now):
        return
    auth_time = datetime.fromtimestamp(claims["auth_time"], UTC)
    proof = RequestProof(person, sid, tuple(claims["amr"]), claims["acr"], auth_time, "bearer")
    user: Any = SimpleLazyObject(lambda: User.objects.filter(uuid=person, is_active=True).first() or AnonymousUser())
    set_caller(request, SessionStore(), user, proof)


# Asked at every unsafe call with a bearer; by hand, since composing it costs four times as much as running it.
ALIVE = (
    "SELECT 1 FROM grants_refreshfamily f WHERE f.uuid = %s AND f.ended_at IS NULL AND f.idle_until > %s AND f.expires_at > %s"
    " AND EXISTS (SELECT 1 FROM accounts_user u WHERE u.uuid = f.person AND u.is_active)"
    " AND EXISTS (SELECT 1 FROM devices_device d WHERE d.uuid = f.device AND d.state = 'active')"
)


def family_is_alive(sid: UUID, now: datetime) -> bool:
    """Whether the refresh family, its person and its device are all alive, in one statement."""
    moment = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        cursor.execute(ALIVE, [uuid_parameter(sid), moment, moment])
        return cursor.fetchone() is not None


def keep_session(request: HttpRequest, response: HttpResponseBase) -> None:
    """Changed data is in the row; a new value goes out as the cookie, an ended session takes the cookie with it."""
    session: Any = request.session
    if session.accessed:
        patch_vary_headers(response, ("Cookie",))
    if response.status_code >= 500:
        return  # what the session was about to become was rolled back
    if session.modified:
        session.save()
    cookie: dict[str, Any] = {"path": "/", "samesite": "Lax", "secure": settings.SESSION_COOKIE_SECURE, "httponly": True}
    if session.new_value and session.row is not None:
        response.set_cookie(settings.SESSION_COOKIE_NAME, session.new_value, **cookie)
    elif session.is_over or (not request.path.startswith(SIGNING_IN) and session.is_dead()):
        response.delete_cookie(settings.SESSION_COOKIE_NAME, path="/", samesite="Lax")
