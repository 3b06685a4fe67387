"""Trying out a device in pages; the page that asks for the answer is that of the sign-in (`accounts.views.sign_in`)."""

from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import answering, own_devices, try_out
from accounts.api.own import person
from accounts.models import SignIn
from accounts.views.answer import ask
from accounts.views.frame import say, signed_in_page
from accounts.words import it_works, sentence
from devices.models import Device
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import check, needs


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@needs()
def start(request: HttpRequest, device: UUID) -> HttpResponse:
    """POST begins a test and leads to it; back to the device's page where none is possible, which says why."""
    user, sid, now = person(request), check(request).sid, timezone.now()
    row = own_devices.one(user, device)
    if request.method != "POST" or not try_out.is_possible(row, now):
        return redirect("device", device)
    return redirect("test", device, try_out.begin(user, row, sid, client(request), now).uuid)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@needs()
def answer(request: HttpRequest, device: UUID, uuid: UUID) -> HttpResponse:
    """The device's answer; then its page says that it works."""
    row, sid = own_devices.one(person(request), device), check(request).sid

    def passed(row: Device, given: Any) -> HttpResponse:
        say(request, it_works(row, try_out.answer(test, row, given, client(request), timezone.now())))
        return redirect("device", device)

    try:
        test = try_out.open_test(uuid, row, sid, timezone.now())
        return ask(request, test, device, passed, instead=partial(over, request, row))
    except Refused as refused:
        if refused.reason is not Reason.SIGN_IN_OVER:
            raise
    if SignIn.objects.filter(uuid=uuid, device=row, started_by=sid, state=SignIn.State.FINISHED).exists():
        return redirect("device", device)  # a second click; the first has said that it works
    row.refresh_from_db()
    why = "" if row.is_usable(timezone.now()) else sentence(answering.refusal(row, timezone.now()))
    return over(request, row, why, 401)


def over(request: HttpRequest, row: Device, why: str, status: int) -> HttpResponse:
    """A test that is over: why, and back to the device."""
    context = {"title": _("Test this device"), "why": why, "sentence": _("This test is over.")}
    context |= {"button": _("Back to the device"), "on": reverse("device", args=[row.uuid])}
    return render(request, "accounts/over.html", context, status=status)
