"""The pages of signing in: name and password, then a device; or the first device of a new account."""

import functools
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token, rotate_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import answering, enrolment, known_browsers, policy, rules, signin
from accounts.forms import SignInForm
from accounts.models import SignIn
from accounts.sessions import session_of
from accounts.signin import Passed
from accounts.views import confirm
from accounts.views.answer import ask, touched
from accounts.views.enrol_page import enrol_page, kinds_to_add
from accounts.views.frame import HINT_COOKIE, View, address, refuse_in_form, remember_device, safe_next
from accounts.words import sentence
from devices import kinds
from devices.models import Device
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import proof_of


@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """Name and password."""
    get_token(request)
    form = SignInForm(request.POST or None)
    next_path = safe_next(request.POST.get("next", request.GET.get("next", "")))
    status, wait = 200, None
    if request.method == "POST" and form.is_valid():
        now, caller = timezone.now(), client(request)
        try:
            name, password = form.cleaned_data["username"], form.cleaned_data["password"]
            sign_in, _handle = signin.start(request, name, password, caller, now, next_path)
        except Refused as refused:
            status, wait = refuse_in_form(form, refused), refused.retry_after
        else:
            session_of(request).remember(sign_in.uuid, caller, now)
            return redirect("second-step", sign_in.uuid)
    elif request.method == "POST":
        status = 400
    shown = {"form": form, "next": next_path, "signed_out": "signed_out" in request.GET}
    response = render(request, "accounts/sign_in.html", shown, status=status)
    if wait:
        response["Retry-After"] = str(wait)
    return response


def ceremony_page(view: View) -> View:
    """The view gets the open sign-in that this very browser began, or below /confirm/ the step-up of this very session.

    Everybody else reads "start again".
    """

    @functools.wraps(view)
    def guarded(request: HttpRequest, uuid: UUID, purpose: str = SignIn.Purpose.SIGN_IN, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, begun_here(request, uuid, purpose), **kwargs)
        except Refused as refused:
            if refused.reason not in (Reason.SIGN_IN_OVER, Reason.WRONG_STATE):
                raise
            return over(request, uuid, purpose)

    return guarded


def begun_here(request: HttpRequest, uuid: UUID, purpose: str) -> SignIn:
    """The open ceremony for this purpose; Refused SIGN_IN_OVER if another browser or session began it."""
    proof = proof_of(request)
    asker = proof.sid if proof and purpose == SignIn.Purpose.STEP_UP else None
    if asker is None and not session_of(request).began(uuid):
        raise Refused(Reason.SIGN_IN_OVER)
    return signin.by_uuid(uuid, SignIn.Purpose(purpose), asker, timezone.now())


def over(request: HttpRequest, uuid: UUID, purpose: str, why: str = "") -> HttpResponse:
    """A sign-in that is over: on to the account if another tab finished it, else why, and "start again"."""
    if purpose == SignIn.Purpose.STEP_UP:
        return confirm.over(request, uuid, why)
    if proof_of(request) is not None:
        return redirect("account")
    context = {"title": _("Start again"), "why": why, "sentence": sentence(Refused(Reason.SIGN_IN_OVER))}
    context |= {"button": _("Sign in"), "on": reverse("sign-in")}
    return render(request, "accounts/over.html", context, status=401)


@require_safe
@ceremony_page
def second_step(request: HttpRequest, sign_in: SignIn) -> HttpResponse:
    """On to the remembered, else the strongest usable device; to enrolling, or to the list where there is none but codes."""
    if sign_in.state == SignIn.State.ENROLLING:
        return redirect("first-device", sign_in.uuid)
    usable = usable_devices(request, sign_in)
    if not usable or kinds.module(usable[0].kind).STANDS_IN:
        return redirect(address(sign_in, "methods"))
    return redirect(address(sign_in, "answer", usable[0].uuid))


def usable_devices(request: HttpRequest, sign_in: SignIn) -> list[Device]:
    """The devices that may answer now, in the order in which to offer them."""
    now = timezone.now()
    rows = [row for row in rules.in_use(sign_in.person.pk) if not rules.blocked(row)]
    if sign_in.is_step_up:
        rows = policy.strong_of(rows) or rows  # with a weaker one the same page would ask again
    return policy.in_order([row for row in rows if row.is_usable(now)], request.COOKIES.get(HINT_COOKIE, ""))


@require_safe
@ceremony_page
def methods(request: HttpRequest, sign_in: SignIn) -> HttpResponse:
    """Every device that may be used now."""
    return methods_page(request, sign_in)


def methods_page(
    request: HttpRequest, sign_in: SignIn, error: str = "", status: int = 200, told: UUID | None = None
) -> HttpResponse:
    """The list, with what went wrong before it; `told`: the device that the error is about."""
    rows = [(row, kinds.module(row.kind)) for row in usable_devices(request, sign_in)]
    others = list(rules.in_use(sign_in.person.pk))
    blocked = [row for row in others if rules.blocked(row)]
    resting = [row for row in others if row.is_paused(timezone.now()) and row not in blocked]
    again = confirm.again(sign_in.next) if sign_in.is_step_up else reverse("sign-in")
    context = {
        "sign_in": sign_in,
        "rows": rows,
        "resting": resting,
        "blocked": blocked,
        "error": error,
        "told": told,
        "again": again,
    }
    return render(request, "accounts/methods.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@ceremony_page
def answer(request: HttpRequest, sign_in: SignIn, device: UUID) -> HttpResponse:
    """One device: a code field, or the security-key button."""
    enter = confirm.passed if sign_in.is_step_up else open_session

    def passed(row: Device, given: Any) -> HttpResponse:
        now, used = timezone.now(), touched(sign_in, row, given)
        signin.answer(sign_in, used.uuid, given, lambda proven: enter(request, proven), client(request), now)
        return gone_in(request, sign_in, used)

    try:
        return ask(request, sign_in, device, passed, instead=functools.partial(methods_page, request, sign_in, told=device))
    except Refused as refused:
        if refused.reason is not Reason.SIGN_IN_OVER:
            raise
        row = Device.objects.filter(uuid=device, user=sign_in.person).first()
        if row is None or not row.is_paused(timezone.now()):
            raise
        return over(request, sign_in.uuid, sign_in.purpose, sentence(answering.refusal(row, timezone.now())))


def open_session(request: HttpRequest, passed: Passed) -> None:
    """Both factors passed: this browser has a session of its own, under a new cookie and CSRF value."""
    session_of(request).sign_in(passed, client(request), timezone.now())
    known_browsers.remember(request, passed.user.uuid)
    rotate_token(request)


def gone_in(request: HttpRequest, sign_in: SignIn, device: Device) -> HttpResponseRedirect:
    """On to where the person wanted to go; after a recovery code first to what that means."""
    if page := kinds.module(device.kind).AFTERWARDS:
        query = f"?{urlencode({'next': sign_in.next})}" if sign_in.next else ""
        return HttpResponseRedirect(reverse(page) + query)
    if sign_in.is_step_up:
        confirm.confirmed(request, sign_in)
    return remember_device(HttpResponseRedirect(sign_in.next or reverse("account")), device.uuid)


@require_POST
@ceremony_page
def cancel(request: HttpRequest, sign_in: SignIn) -> HttpResponse:
    """The sign-in is over; back to the start, or to what the step-up was for."""
    signin.cancel(sign_in, client(request), timezone.now())
    return confirm.back(request, sign_in) if sign_in.is_step_up else redirect("sign-in")


@require_safe
@ceremony_page
def enrol_choice(request: HttpRequest, sign_in: SignIn) -> HttpResponse:
    """The first device of a new account: which kind?"""
    if sign_in.state != SignIn.State.ENROLLING:
        raise Refused(Reason.WRONG_STATE)
    return render(request, "accounts/first_device.html", {"sign_in": sign_in, "rows": kinds_to_add(sign_in.person)})


@require_http_methods(["GET", "HEAD", "POST"])
@ceremony_page
def enrol(request: HttpRequest, sign_in: SignIn, kind: str) -> HttpResponse:
    """The first device of a new account: scan or touch, confirm, signed in."""
    if kind not in dict(kinds_to_add(sign_in.person)):
        raise Refused(Reason.NOT_FOUND)
    now, caller = timezone.now(), client(request)

    def begun(given: dict[str, str] | None, again: bool) -> enrolment.Begun | None:
        chosen = Device.objects.filter(pk=sign_in.device_id, kind=kind).exists()
        if given is None and chosen:
            return enrolment.show_again(sign_in, now, again=again)
        if given is None and kinds.module(kind).ASKS:
            return None
        return enrolment.begin_first(sign_in, kind, given or {}, caller, now)

    def confirmed(given: object) -> HttpResponse:
        pending = Device.objects.filter(pk=sign_in.device_id, kind=kind).first()
        if pending is None:
            raise Refused(Reason.NO_CHALLENGE)
        enrolment.confirm_first(sign_in, pending.uuid, given, lambda passed: open_session(request, passed), caller, now)
        return gone_in(request, sign_in, pending)

    try:
        return enrol_page(request, kind, begun, confirmed, back=reverse("first-device", args=[sign_in.uuid]))
    except Refused as refused:
        if refused.reason is not Reason.TOO_MANY_ATTEMPTS:
            raise
        context = {"sign_in": sign_in, "rows": kinds_to_add(sign_in.person), "error": sentence(refused)}
        return render(request, "accounts/first_device.html", context, status=refused.reason.status)
