"""The enrolment page, the same for a first device and for any other."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render

from accounts import rules
from accounts.enrolment import Begun
from accounts.forms import answer_form, asking_form
from accounts.models import User
from accounts.views.answer import TWO_CODES, retry_after
from accounts.views.frame import first_error
from accounts.words import sentence
from devices import kinds
from devices.kinds import KindModule
from mfa_site.errors import Reason, Refused
from mfa_site.site import this_site

LOST = (Reason.SIGN_IN_OVER, Reason.WRONG_STATE, Reason.NOT_FOUND, Reason.STEP_UP_NEEDED, Reason.NOT_SIGNED_IN)


def kinds_to_add(user: User) -> list[tuple[str, KindModule]]:
    """The kinds that the person can enrol alone, strongest first, and that the policy lets him use; what stands in for a device
    has pages of its own."""
    asked = rules.of(user.pk)
    return [(name, kind) for name, kind in kinds.offered(this_site()) if not asked.against_kind(name)]


def enrol_page(
    request: HttpRequest,
    kind: str,
    begun: Callable[[dict[str, str] | None, bool], Begun | None],
    confirmed: Callable[[object], HttpResponse],
    back: str,
) -> HttpResponse:
    """GET shows what `begun` gives, POST hands the answer to `confirmed`; a refused answer shows the page again.

    `begun(given, again)` begins with what the person said, goes on with what was begun (None), sends another code (`again`);
    it gives None where something has to be said first, and the page asks for it.
    """
    caught: Refused | None = None
    error, status, counted, two = "", 200, False, False
    action = request.POST.get("action", "")
    if (request.method == "POST" and action == "ask") or "other" in request.GET:
        return asked(request, kind, begun, back)
    if request.method == "POST":
        form = answer_form(kinds.module(kind).ANSWER)(request.POST)
        try:
            if action == "again":
                begun(None, True)
                return HttpResponseRedirect(request.path)
            if form.is_valid():
                return confirmed(form.given)
            error, status = first_error(form), 400
        except Refused as refused:
            if refused.reason in LOST:
                raise
            caught, error, status, counted = refused, sentence(refused), refused.reason.status, action != "again"
            two = refused.reason in TWO_CODES
    enrolment = begun(None, False)
    if enrolment is None:  # also after the fifth wrong code: what was begun is gone
        return asked(request, kind, begun, back, error, status)
    shown = enrolment.shown.shown
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse(shown)
    context = {
        "shown": shown,
        "device": enrolment.device,
        "kind": kinds.module(kind),
        "two": two and kinds.module(kind).can_resync(enrolment.device),
        "error": error,
        # After five wrong codes, or in a tab that another one overtook, there is a new seed; a counted failure says it is not.
        "is_new": counted and enrolment.device.failures == 0,
        "back": back,
        "key_groups": groups(shown.get("secret", "")),
        "account": enrolment.device.user.get_username() if enrolment.device.user else "",
        "not_sent": str(enrolment.device.unsent) == enrolment.shown.kept.partition(".")[0],
    }
    return retry_after(render(request, f"accounts/enrol_{kind}.html", context, status=status), caught)


def asked(
    request: HttpRequest,
    kind: str,
    begun: Callable[[dict[str, str] | None, bool], Begun | None],
    back: str,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """The form for what has to be said first, with what went wrong before it; what was said begins the enrolment and leads to
    its page."""
    said = request.POST if request.POST.get("action") == "ask" else None
    form, caught = asking_form(kind)(said), None
    if said is not None and form.is_valid():
        try:
            begun(dict(form.cleaned_data), False)
            return HttpResponseRedirect(request.path)
        except Refused as refused:
            if refused.reason in LOST:
                raise
            caught, status = refused, refused.reason.status
            if refused.reason is Reason.MALFORMED:
                form.add_error("address", sentence(refused))
            else:
                error = sentence(refused)
    elif said is not None:
        status = 400
    context = {"form": form, "kind": kinds.module(kind), "error": error, "back": back}
    return retry_after(render(request, "accounts/enrol_ask.html", context, status=status), caught)


def groups(secret: str) -> list[str]:
    """The key in groups of four, as people type it."""
    return [secret[start : start + 4] for start in range(0, len(secret), 4)]
