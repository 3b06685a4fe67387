"""How a fault leaves the service: problem details for machines, a page with a next step for people."""

import contextlib
import logging
import re
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import is_valid_path
from django.utils.translation import gettext as _

from mfa_site.api import SAFE, problem
from mfa_site.errors import Reason, Refused

log = logging.getLogger(__name__)
LOOPBACK = re.compile(r"\A(127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?\Z")
MACHINE_PATHS = ("/api/", "/oauth2/", "/.well-known/", "/livez", "/readyz")


def for_machines(request: HttpRequest) -> bool:
    """Whether the path is answered in JSON."""
    return request.path.startswith(MACHINE_PATHS)


def refuse(request: HttpRequest, refused: Refused) -> HttpResponse:
    """The refusal in the client's language: problem details, or the page for its status."""
    if for_machines(request):
        return problem(request, refused)
    if refused.reason is Reason.NOT_PERMITTED:
        advice = _("You are signed in, but without the right for this page. Ask an administrator for it.")
        return page(request, 403, advice, _("That is for administrators"))
    response = page(request, refused.reason.status)
    if refused.retry_after is not None:
        response["Retry-After"] = str(max(1, refused.retry_after))
    return response


def page(request: HttpRequest, status: int, instead: str = "", heading: str = "") -> HttpResponse:
    """The error page for this status, with the request id to quote; `instead` of the usual advice another, or a `heading`."""
    titles = {
        400: (_("That request was not complete"), _("Go back, reload the page and try again.")),
        403: (
            _("This form is too old"),
            _("Cookies may be blocked, or you signed in from another tab. Go back and try again."),
        ),
        404: (_("There is no such page"), _("The address may be mistyped, or what it showed is gone.")),
        405: (_("That does not work here"), _("Go back and use the buttons on the page.")),
        413: (_("That was too much at once"), _("Send less and try again.")),
        503: (
            _("The service is resting"),
            _("Something that sign-in needs is away. Nothing was changed. Try again in a minute."),
        ),
    }
    title, advice = titles.get(
        status, (_("Something went wrong here"), _("It is our fault, not yours. Try again in a minute."))
    )
    context = {
        "title": heading or title,
        "advice": instead or advice,
        "request_id": request.META.get("mfa_site.request_id", ""),
    }
    return render(request, "error.html", context, status=status)


def wrong_host(request: HttpRequest) -> HttpResponse:
    """The service was called by a name that is not its own; on this machine by number, where the name is one hop away."""
    host = request.META.get("HTTP_HOST", "")
    log.warning("refused host %r", host[:100])
    if settings.LOCAL and LOOPBACK.match(host) and request.method in SAFE and not for_machines(request):
        return HttpResponseRedirect(settings.BASE_URL + request.get_full_path())
    if for_machines(request):
        return problem(request, Refused(Reason.MALFORMED, detail=f"This service answers only at {settings.BASE_URL}."))
    advice = _("This service answers only at %(address)s.") % {"address": settings.BASE_URL}
    return page(request, 400, advice)


def unavailable(request: HttpRequest, error: Exception) -> HttpResponse:
    """A store or a key is away: refused with 503, logged by kind without its values."""
    log.error("unavailable: %s", type(error).__name__, extra={"request_id": request.META.get("mfa_site.request_id", "")})
    forget_dead_connections()
    return refuse(request, Refused(Reason.UNAVAILABLE))


def forget_dead_connections() -> None:
    """After one connection broke the others of the pool are tried too, or each would cost somebody a refusal."""
    if connection.vendor == "postgresql":
        with contextlib.suppress(Error):
            connection.pool.check()  # type: ignore[attr-defined]  # psycopg_pool's, where the backend has one


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400."""
    return refuse(request, Refused(Reason.MALFORMED))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF failure view."""
    return refuse(request, Refused(Reason.CSRF_FAILED))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404; an address that only lacks its slash is told where it is."""
    if request.method in SAFE and not for_machines(request) and is_valid_path(request.path_info + "/"):
        return HttpResponseRedirect(request.get_full_path(force_append_slash=True))
    return refuse(request, Refused(Reason.NOT_FOUND))


def broken(request: HttpRequest, *args: Any) -> HttpResponse:
    """Django's handler500; the traceback is in the log under the same request id."""
    return refuse(request, Refused(Reason.INTERNAL_ERROR))
