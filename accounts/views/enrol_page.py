"""The enrolment page, the same for a first device and for any other."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from accounts.enrolment import Begun
from accounts.forms import answer_form
from accounts.views.frame import first_error
from accounts.words import sentence
from devices import kinds
from devices.kinds import KindModule
from devices.models import Kind
from mfa_site.errors import Reason, Refused

LOST = (Reason.SIGN_IN_OVER, Reason.WRONG_STATE, Reason.NOT_FOUND, Reason.STEP_UP_NEEDED, Reason.NOT_SIGNED_IN)


def kinds_to_add() -> list[tuple[str, KindModule]]:
    """The kinds that a person can enrol alone, strongest first; what stands in for a device has pages of its own."""
    modules = [(str(kind), kinds.module(kind)) for kind in Kind.values]
    return sorted((pair for pair in modules if not pair[1].STANDS_IN), key=lambda pair: -pair[1].STRENGTH)


def enrol_page(
    request: HttpRequest, kind: str, begun: Callable[[], Begun], confirmed: Callable[[object], HttpResponse], back: str
) -> HttpResponse:
    """GET shows what `begun` gives, POST hands the answer to `confirmed`; a refused answer shows the page again."""
    error, status, counted = "", 200, False
    if request.method == "POST":
        form = answer_form(kinds.module(kind).ANSWER)(request.POST)
        if form.is_valid():
            try:
                return confirmed(form.given)
            except Refused as refused:
                if refused.reason in LOST:
                    raise
                error, status, counted = sentence(refused), refused.reason.status, True
        else:
            error, status = first_error(form), 400
    enrolment = begun()
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse(enrolment.shown.shown)
    context = {
        "shown": enrolment.shown.shown,
        "device": enrolment.device,
        "error": error,
        # After five wrong codes, or in a tab that another one overtook, there is a new seed; a counted failure says it is not.
        "is_new": counted and enrolment.device.failures == 0,
        "back": back,
        "key_groups": groups(enrolment.shown.shown.get("secret", "")),
        "account": enrolment.device.user.get_username() if enrolment.device.user else "",
    }
    return render(request, f"accounts/enrol_{kind}.html", context, status=status)


def groups(secret: str) -> list[str]:
    """The key in groups of four, as people type it."""
    return [secret[start : start + 4] for start in range(0, len(secret), 4)]
