"""The page that asks for an answer of one device, the same at sign-in, step-up and test."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import signin
from accounts.forms import answer_form
from accounts.models import SignIn
from accounts.views import confirm
from accounts.views.frame import first_error
from accounts.words import duration, sentence
from devices import kinds, yubico
from devices.models import PAUSE_AT, Device, Kind
from mfa_site.errors import Reason, Refused

TWO_CODES = (Reason.CODE_OUT_OF_SYNC, Reason.CODES_NOT_CONSECUTIVE)  # after these the page asks for two
INSTEAD = (Reason.TOO_MANY_ATTEMPTS, Reason.DEVICE_NOT_USABLE, Reason.UNAVAILABLE)


def ask(
    request: HttpRequest,
    sign_in: SignIn,
    device: UUID,
    passed: Callable[[Device, Any], HttpResponse],
    instead: Callable[[str, int], HttpResponse],
) -> HttpResponse:
    """GET shows the page for this device, POST hands the answer to `passed`; a refused answer shows the page again.

    A POST with `action=again` sends another code. Where the device cannot answer now it is `instead`, told why and with which
    status.
    """
    refused: Refused | None = None
    error, status = "", 200
    if request.method == "POST":
        row = Device.objects.filter(uuid=device, user=sign_in.person).first()
        if row is None:
            raise Refused(Reason.NOT_FOUND)
        form = answer_form(kinds.module(row.kind).ANSWER)(request.POST)
        try:
            if request.POST.get("action") == "again":
                signin.choose(sign_in, device, timezone.now())
                return HttpResponseRedirect(request.path)
            if form.is_valid():
                return passed(row, form.given)
            error, status = first_error(form), 400
        except Refused as caught:
            refused, error, status = caught, sentence(caught), caught.reason.status
    try:
        return retry_after(answer_page(request, sign_in, device, error, status, refused), refused)
    except Refused as caught:
        if caught.reason not in INSTEAD:
            raise
        # A key that was suspended for its answer: that reason, not that it is unusable now.
        keep = error and caught.reason is Reason.DEVICE_NOT_USABLE
        return instead(error if keep else sentence(caught), caught.reason.status)


def retry_after(response: HttpResponse, refused: Refused | None) -> HttpResponse:
    """The answer says in its head, too, when the next try may come."""
    if refused and refused.retry_after:
        response["Retry-After"] = str(refused.retry_after)
    return response


def answer_page(
    request: HttpRequest, sign_in: SignIn, device: UUID, error: str, status: int, refused: Refused | None
) -> HttpResponse:
    """The page for this device, with a new challenge where it needs one; Refused where the device cannot answer. A code that
    is on its way stays the one to enter. `refused`: what became of an answer, if it was one."""
    try:
        row, shown = signin.choose(sign_in, device, timezone.now(), again=False)
    except Refused as caught:
        if not caught.facts.get("resend"):
            raise
        wait = duration(caught.retry_after or 1)
        if refused and refused.reason is Reason.NO_CHALLENGE:
            error = _("No code was sent for this sign-in yet. One can be sent in %(wait)s.") % {"wait": wait}
        return waiting_page(request, sign_in, device, error, status, wait)
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse(shown.shown)
    kind = kinds.module(row.kind)
    closed = confirm.closed(request, sign_in)
    template = "accounts/code.html" if kind.ANSWER is str else "accounts/key.html"
    context = {"sign_in": sign_in, "device": row, "kind": kind, "error": error, "closed": closed}
    context["options"] = shown.shown.get("public_key")
    can_resync = kind.can_resync(row)
    tired = can_resync and row.failures >= PAUSE_AT  # the next wrong one pauses it again: two codes at once are the cure
    two = can_resync and (tired or (refused is not None and refused.reason in TWO_CODES))
    context |= {"two": two, "tired": tired, "can_resync": can_resync, "sent_to": shown.shown.get("sent_to")}
    context |= {"not_sent": shown.not_sent}
    return render(request, template, context, status=status)


def waiting_page(request: HttpRequest, sign_in: SignIn, device: UUID, error: str, status: int, wait: str) -> HttpResponse:
    """The page for a device whose last code went out a moment ago, for another ceremony: it is worthless in this one, and
    another can be sent when `wait` is over."""
    row = Device.objects.get(uuid=device, user=sign_in.person)
    context = {"sign_in": sign_in, "device": row, "kind": kinds.module(row.kind), "error": error, "wait": wait}
    context["closed"] = confirm.closed(request, sign_in)
    return render(request, "accounts/code.html", context, status=status)


def touched(sign_in: SignIn, row: Device, given: Any) -> Device:
    """The device whose answer it is: the chosen one, or the person's YubiKey that was touched with the cursor in its field.

    Refused CODE_LOOKS_LIKE_YUBIKEY where it is nobody's and the field is for other letters; nothing is counted.
    """
    if type(given) is not str:
        return row
    try:
        public_id, _encrypted = yubico.parts(given)
    except Refused:
        return row
    keys = Device.of(sign_in.person.pk, timezone.now()).filter(kind=Kind.YUBIOTP, public_id=public_id)
    key = keys.first()
    if key is None and kinds.module(row.kind).STANDS_IN:
        raise Refused(Reason.CODE_LOOKS_LIKE_YUBIKEY, device=row.name)
    return key or row
