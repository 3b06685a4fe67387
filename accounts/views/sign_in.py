"""The pages of signing in: name and password, then a device; or the first device of a new account."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token, rotate_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import enrolment, policy, signin
from accounts.forms import SignInForm, answer_form
from accounts.models import SignIn
from accounts.sessions import session_of
from accounts.signin import Passed
from accounts.views.enrol_page import enrol_page, kinds_to_add
from accounts.views.frame import HINT_COOKIE, first_error, refuse_in_form, remember_device, safe_next
from accounts.words import sentence
from devices import kinds
from devices.models import Device, Kind
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import proof_of


@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """Name and password."""
    get_token(request)
    form = SignInForm(request.POST or None)
    next_path = safe_next(request.POST.get("next", request.GET.get("next", "")))
    status = 200
    if request.method == "POST" and form.is_valid():
        now, caller = timezone.now(), client(request)
        try:
            name, password = form.cleaned_data["username"], form.cleaned_data["password"]
            sign_in, _handle = signin.start(request, name, password, caller, now, next_path)
        except Refused as refused:
            status = refuse_in_form(form, refused)
        else:
            session_of(request).remember(sign_in.uuid, caller, now)
            return redirect("second-step", sign_in.uuid)
    elif request.method == "POST":
        status = 400
    shown = {"form": form, "next": next_path, "again": request.GET.get("again") == "1"}
    return render(request, "accounts/sign_in.html", shown, status=status)


def begun_here(request: HttpRequest, uuid: UUID) -> SignIn:
    """The open sign-in, if this very browser began it; Refused SIGN_IN_OVER for anybody else."""
    if not session_of(request).began(uuid):
        raise Refused(Reason.SIGN_IN_OVER)
    return signin.by_uuid(uuid, timezone.now())


def over(request: HttpRequest, refused: Refused) -> HttpResponse:
    """A sign-in that is over: on to the account if another tab finished it, else "start again"."""
    if refused.reason not in (Reason.SIGN_IN_OVER, Reason.WRONG_STATE):
        raise refused
    if proof_of(request) is not None:
        return redirect("account")
    return render(request, "accounts/over.html", {"sentence": sentence(Refused(Reason.SIGN_IN_OVER))}, status=401)


@require_safe
def second_step(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """On to the remembered, else the strongest usable device; to enrolling, or to the list where there is none."""
    try:
        sign_in = begun_here(request, uuid)
    except Refused as refused:
        return over(request, refused)
    if sign_in.state == SignIn.State.ENROLLING:
        return redirect("first-device", uuid)
    usable = usable_devices(request, sign_in)
    return redirect("answer", uuid, usable[0].uuid) if usable else redirect("methods", uuid)


def usable_devices(request: HttpRequest, sign_in: SignIn) -> list[Device]:
    """The devices that may answer now, in the order in which to offer them."""
    now = timezone.now()
    rows = [row for row in Device.of(sign_in.user_id or 0) if row.is_usable(now)]
    return policy.in_order(rows, request.COOKIES.get(HINT_COOKIE, ""))


@require_safe
def methods(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Every device that may be used now."""
    try:
        sign_in = begun_here(request, uuid)
    except Refused as refused:
        return over(request, refused)
    rows = [(row, kinds.module(row.kind)) for row in usable_devices(request, sign_in)]
    return render(request, "accounts/methods.html", {"sign_in": sign_in, "rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest, uuid: UUID, device: UUID) -> HttpResponse:
    """One device: a code field, or the security-key button."""
    now, caller = timezone.now(), client(request)
    try:
        sign_in = begun_here(request, uuid)
        if request.method != "POST":
            return answer_page(request, sign_in, device)
        row = Device.objects.filter(uuid=device, user_id=sign_in.user_id).first()
        if row is None:
            raise Http404
        form = answer_form(kinds.module(row.kind).ANSWER)(request.POST)
        if not form.is_valid():
            return answer_page(request, sign_in, device, first_error(form), 400)
        signin.answer(sign_in, device, form.given, lambda passed: open_session(request, passed), caller, now)
        return gone_in(request, sign_in, device)
    except Refused as refused:
        if refused.reason is Reason.NOT_FOUND:
            raise Http404 from None
        if refused.reason in (Reason.SIGN_IN_OVER, Reason.WRONG_STATE):
            return over(request, refused)
        return answer_again(request, uuid, device, refused)


def answer_page(request: HttpRequest, sign_in: SignIn, device: UUID, error: str = "", status: int = 200) -> HttpResponse:
    """The page for this device, with a new challenge where the device needs one."""
    row, shown = signin.choose(sign_in, device, timezone.now())
    kind = kinds.module(row.kind)
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse(shown.shown)
    template = "accounts/code.html" if kind.ANSWER is str else "accounts/key.html"
    context = {"sign_in": sign_in, "device": row, "kind": kind, "error": error, "options": shown.shown.get("public_key")}
    return render(request, template, context, status=status)


def answer_again(request: HttpRequest, uuid: UUID, device: UUID, refused: Refused) -> HttpResponse:
    """After a refusal: the same page with the reason in words, or the list if the device must rest now."""
    try:
        sign_in = begun_here(request, uuid)
        return answer_page(request, sign_in, device, sentence(refused), refused.reason.status)
    except Refused as then:
        if then.reason in (Reason.SIGN_IN_OVER, Reason.WRONG_STATE):
            return over(request, then)
        rows = [(row, kinds.module(row.kind)) for row in usable_devices(request, sign_in)]
        # A key that was suspended for its answer: the reason, not that it is now unusable.
        told = refused if then.reason is Reason.DEVICE_NOT_USABLE else then
        context = {"sign_in": sign_in, "rows": rows, "error": sentence(told)}
        return render(request, "accounts/methods.html", context, status=told.reason.status)


def open_session(request: HttpRequest, passed: Passed) -> None:
    """Both factors passed: this browser has a session of its own, under a new cookie and CSRF value."""
    now, caller = timezone.now(), client(request)
    session_of(request).sign_in(passed, caller, now)
    rotate_token(request)


def gone_in(request: HttpRequest, sign_in: SignIn, device: UUID) -> HttpResponseRedirect:
    """On to where the person wanted to go."""
    return remember_device(HttpResponseRedirect(sign_in.next or reverse("account")), device)


@require_POST
def cancel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The sign-in is over; back to the start."""
    try:
        signin.cancel(begun_here(request, uuid), client(request), timezone.now())
    except Refused as refused:
        return over(request, refused)
    return redirect("sign-in")


@require_safe
def enrol_choice(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The first device of a new account: which kind?"""
    try:
        sign_in = begun_here(request, uuid)
        if sign_in.state != SignIn.State.ENROLLING:
            raise Refused(Reason.WRONG_STATE)
    except Refused as refused:
        return over(request, refused)
    return render(request, "accounts/first_device.html", {"uuid": uuid, "rows": kinds_to_add()})


@require_http_methods(["GET", "HEAD", "POST"])
def enrol(request: HttpRequest, uuid: UUID, kind: str) -> HttpResponse:
    """The first device of a new account: scan or touch, confirm, signed in."""
    if kind not in Kind.values:
        raise Http404
    now, caller = timezone.now(), client(request)

    def begun() -> enrolment.Begun:
        sign_in = begun_here(request, uuid)
        chosen = Device.objects.filter(pk=sign_in.device_id, kind=kind).exists()
        return enrolment.show_again(sign_in, now) if chosen else enrolment.begin_first(sign_in, kind, "", caller, now)

    def confirmed(given: object) -> HttpResponse:
        sign_in = begun_here(request, uuid)
        pending = Device.objects.filter(pk=sign_in.device_id, kind=kind).first()
        if pending is None:
            raise Refused(Reason.NO_CHALLENGE)
        enrolment.confirm_first(sign_in, pending.uuid, given, lambda passed: open_session(request, passed), caller, now)
        return gone_in(request, sign_in, pending.uuid)

    try:
        return enrol_page(request, kind, begun, confirmed, back=reverse("first-device", args=[uuid]))
    except Refused as refused:
        if refused.reason is Reason.TOO_MANY_ATTEMPTS:
            context = {"uuid": uuid, "rows": kinds_to_add(), "error": sentence(refused)}
            return render(request, "accounts/first_device.html", context, status=refused.reason.status)
        return over(request, refused)
