"""What the pages share: the layout's context, where to go next, and what a refusal looks like."""

import functools
import time
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

from accounts.models import SignIn
from accounts.words import sentence
from mfa_site.errors import Reason, Refused
from mfa_site.proof import ACR, STEP_UP, proof_of

HINT_COOKIE = "mfa_site_hint"  # the device this browser used last: no secret, only an order
HINT_AGE = 365 * 24 * 3600
KEPT = ("action", "name")  # fields of forms that a stale proof may interrupt; never a password, a code or another secret
KEPT_LENGTH = 200  # characters of each
KEPT_FOR = 600  # seconds; as long as a step-up may take
View = Callable[..., HttpResponse]


def context(request: HttpRequest) -> dict[str, Any]:
    """For every template: the site's name, who is signed in, whether there is a demo page and mail."""
    proof = proof_of(request)
    return {
        "site_name": settings.RP_NAME,
        "signed_in": proof is not None,
        "proof": proof,
        "rp_origin": settings.BASE_URL,
        "has_demo": settings.LOCAL,
        "has_mail": settings.HAS_MAIL,
    }


def signed_in_page(view: View) -> View:
    """The page for a signed-in person; others sign in first, those with a stale proof confirm it is them, and come back."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Refused as refused:
            if refused.reason is Reason.NOT_SIGNED_IN:
                return redirect(f"{reverse('sign-in')}?{urlencode({'next': where(request)})}")
            if refused.reason is not Reason.STEP_UP_NEEDED:
                raise
            keep_typed(request)
            usual: dict[str, Any] = {**STEP_UP}
            asked = {**refused.facts, "acr": refused.facts["acr"] or ACR[0]}  # a fresh proof, of whatever strength
            unusual = {name: value for name, value in asked.items() if value not in (None, usual[name])}
            return redirect(f"{reverse('confirm')}?{urlencode({'next': where(request), **unusual})}")

    return guarded


def where(request: HttpRequest) -> str:
    """The page that was asked for, with its query where that is one to come back to."""
    full = request.get_full_path()
    return full if safe_next(full) else request.path


def keep_typed(request: HttpRequest) -> None:
    """What this form brought is there once more after the confirmation: fields of KEPT alone, for KEPT_FOR seconds."""
    typed = {name: request.POST.get(name, "")[:KEPT_LENGTH] for name in KEPT}
    fields = {name: value for name, value in typed.items() if value and value.isprintable()}
    if fields:
        request.session["typed"] = {"path": request.path, "until": time.time() + KEPT_FOR, "fields": fields}


def has_typed(request: HttpRequest, path: str) -> bool:
    """Whether something that was typed on this page waits for it."""
    kept = request.session.get("typed")
    return kept is not None and kept["path"] == path and time.time() < kept["until"]


def typed_before(request: HttpRequest) -> dict[str, str]:
    """What was typed on this page before a confirmation, once; empty if nothing was."""
    if request.method != "GET" or not has_typed(request, request.path):
        return {}
    return dict(request.session.pop("typed")["fields"])


def address(sign_in: SignIn, name: str, *ids: object) -> str:
    """Where this page of the ceremony is: below /sign-in/, or below /confirm/ for a step-up."""
    return reverse(f"confirm-{name}" if sign_in.is_step_up else name, args=[sign_in.uuid, *ids])


def safe_next(given: str) -> str:
    """The path to go on to: on this site, never back into signing in or out or confirming."""
    allowed = url_has_allowed_host_and_scheme(given, allowed_hosts=None) and given.startswith("/") and len(given) <= 500
    loops = given.startswith((reverse("sign-in"), reverse("sign-out"), reverse("confirm")))
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
