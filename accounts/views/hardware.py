"""Claiming a token from the stock in pages: the serial on its back and two of its codes."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import lining_up
from accounts.api.own import may_enrol, person
from accounts.forms import HardwareForm
from accounts.models import SignIn
from accounts.views.frame import say, signed_in_page
from accounts.views.sign_in import ceremony_page, gone_in, open_session, takes_hardware
from accounts.words import sentence
from devices.models import Device
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import needs


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@needs()
def add(request: HttpRequest) -> HttpResponse:
    """A token more for somebody who is signed in."""
    may_enrol(request)

    def claim(serial: str, answers: list[str]) -> HttpResponse:
        row = lining_up.claim(person(request), {"serial": serial}, answers, client(request), timezone.now())
        say(request, _("“%(name)s” is ready. You can give it a name of your own.") % {"name": row.name})
        return redirect("device", row.uuid)

    return page(request, claim, reverse("add-device"))


@require_http_methods(["GET", "HEAD", "POST"])
@ceremony_page
def first(request: HttpRequest, sign_in: SignIn) -> HttpResponse:
    """The first device of a new account."""
    if sign_in.state != SignIn.State.ENROLLING:
        raise Refused(Reason.WRONG_STATE)
    if not takes_hardware(sign_in):
        raise Refused(Reason.NOT_FOUND)

    def claim(serial: str, answers: list[str]) -> HttpResponse:
        given, caller, now = {"serial": serial}, client(request), timezone.now()
        lining_up.claim_first(sign_in, given, answers, lambda passed: open_session(request, passed), caller, now)
        row = Device.objects.filter(user=sign_in.person, serial=serial.strip().upper()).get()
        return gone_in(request, sign_in, row)

    return page(request, claim, reverse("first-device", args=[sign_in.uuid]))


def page(request: HttpRequest, claim: Callable[[str, list[str]], HttpResponse], back: str) -> HttpResponse:
    """The form; what was entered goes to `claim`, and the codes are not shown again where it refuses."""
    form = HardwareForm(request.POST or None)
    error, status = "", 200
    if request.method == "POST" and form.is_valid():
        try:
            return claim(form.cleaned_data["serial"], form.answers)
        except Refused as refused:
            if refused.reason in (Reason.SIGN_IN_OVER, Reason.INVITATION_OVER, Reason.WRONG_STATE, Reason.NOT_SIGNED_IN):
                raise
            error, status = sentence(refused), refused.reason.status
            form = HardwareForm(initial={"serial": form.cleaned_data["serial"]})
    elif request.method == "POST":
        status = 400
    return render(request, "accounts/hardware.html", {"form": form, "error": error, "back": back}, status=status)
