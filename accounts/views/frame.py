"""What the pages share: the layout's context, where to go next, and what a refusal looks like."""

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.words import sentence
from mfa_site.errors import Reason, Refused
from mfa_site.proof import proof_of

HINT_COOKIE = "mfa_site_hint"  # the device this browser used last: no secret, only an order
HINT_AGE = 365 * 24 * 3600
View = Callable[..., HttpResponse]


def context(request: HttpRequest) -> dict[str, Any]:
    """For every template: the site's name, who is signed in, whether there is a demo page."""
    proof = proof_of(request)
    return {
        "site_name": settings.RP_NAME,
        "signed_in": proof is not None,
        "proof": proof,
        "rp_origin": settings.BASE_URL,
        "has_demo": settings.LOCAL,
    }


def signed_in_page(view: View) -> View:
    """The page for a signed-in person; others sign in first, and stale proofs again, and come back."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Refused as refused:
            if refused.reason not in (Reason.NOT_SIGNED_IN, Reason.STEP_UP_NEEDED):
                raise
            query = {"next": request.path}
            if refused.reason is Reason.STEP_UP_NEEDED:
                query["again"] = "1"
            return redirect(f"{reverse('sign-in')}?{urlencode(query)}")

    return guarded


def safe_next(given: str) -> str:
    """The path to go on to: on this site, never back into signing in or out."""
    allowed = url_has_allowed_host_and_scheme(given, allowed_hosts=None) and given.startswith("/") and len(given) <= 500
    loops = given.startswith((reverse("sign-in"), reverse("sign-out")))
    printable = given.isascii() and given.isprintable()
    return given if allowed and printable and not loops else ""


def refuse_in_form(form: Form, refused: Refused) -> int:
    """The refusal stands above the form; the status of the page that shows it."""
    form.is_valid()
    form.add_error(None, sentence(refused))
    return refused.reason.status


def first_error(form: Form) -> str:
    """The first thing that is wrong with the form."""
    return str(next(iter(form.errors.values()))[0])


def say(request: HttpRequest, text: str) -> None:
    """The next page says it once."""
    messages.success(request, text)


def remember_device(response: HttpResponseRedirect, device: object) -> HttpResponseRedirect:
    """This browser offers the device first from now on."""
    response.set_cookie(
        HINT_COOKIE, str(device), max_age=HINT_AGE, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE, httponly=True
    )
    return response
