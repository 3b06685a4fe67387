"""Taking a token from the stock in pages: the serial on its back and two of its codes."""

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
from accounts.signin import Passed
from accounts.views.frame import say, signed_in_page
from accounts.views.sign_in import ceremony_page, gone_in, open_session
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

    def take(serial: str, answers: list[str]) -> HttpResponse:
        row = lining_up.take_by_serial(person(request), {"serial": serial}, answers, client(request), timezone.now())
        say(request, _("“%(name)s” is ready. You can give it a name of your own.") % {"name": row.name})
        return redirect("device", row.uuid)

    return page(request, take, reverse("add-device"))


@require_http_methods(["GET", "HEAD", "POST"])
@ceremony_page
def first(request: HttpRequest, sign_in: SignIn) -> HttpResponse:
    """The first device of a new account."""
    if sign_in.state != SignIn.State.ENROLLING:
        raise Refused(Reason.WRONG_STATE)

    def grant(passed: Passed) -> Device:
        open_session(request, passed)
        return passed.device

    def take(serial: str, answers: list[str]) -> HttpResponse:
        device = lining_up.take_first(sign_in, {"serial": serial}, answers, grant, client(request), timezone.now())
        return gone_in(request, sign_in, device)

    return page(request, take, reverse("first-device", args=[sign_in.uuid]))


def page(request: HttpRequest, take: Callable[[str, list[str]], HttpResponse], back: str) -> HttpResponse:
    """The form; what was entered goes to `take`, and the codes are not shown again where it refuses."""
    form = HardwareForm(request.POST or None)
    error, status, own = "", 200, None
    if request.method == "POST" and form.is_valid():
        try:
            return take(form.cleaned_data["serial"], form.answers)
        except Refused as refused:
            if refused.reason in (Reason.SIGN_IN_OVER, Reason.WRONG_STATE, Reason.NOT_SIGNED_IN):
                raise
            error, status, own = sentence(refused), refused.reason.status, refused.facts.get("own")
            form = HardwareForm(initial={"serial": form.cleaned_data["serial"]})
    elif request.method == "POST":
        status = 400
    context = {"form": form, "error": error, "back": back, "own": own}
    return render(request, "accounts/hardware.html", context, status=status)
