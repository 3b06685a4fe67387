"""Acts on one device, confirmed on a page of their own; two codes line a token up, a receipt goes with one handed out."""

from functools import partial
from typing import Any
from uuid import UUID

from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import lining_up, own_devices, words
from accounts.forms import TwoCodesForm
from accounts.models import User
from accounts.views.frame import refuse_in_form, say
from desk.acts import ACTS
from desk.api import device as find
from desk.gate import may, refuse_higher
from desk.pages.frame import render
from devices import kinds
from devices.models import Device, Kind
from devices.oath import RESYNC_WINDOW_ADMINISTRATOR
from mfa_site.client import client
from mfa_site.errors import Refused

ENDS = ("suspend", "retire", "take_back")  # after these nobody can sign in with it
SUSPICIOUS = 600  # seconds; a clock that is further off may have a battery that is going


@require_http_methods(["GET", "HEAD", "POST"])
def act_page(request: HttpRequest, device: UUID, act: str) -> HttpResponse:
    """`devices/<uuid>/…/`: what the act will do to which device; POST does it."""
    row, user, chosen = on(request, device), actor(request), ACTS[act]
    form, status = chosen.form(request.POST if request.method == "POST" else None), 200
    if form.is_valid():
        try:
            chosen.carry_out(user, row, form.cleaned_data, client(request), timezone.now())
        except Refused as refused:
            status = refuse_in_form(form, refused)
        else:
            say(request, _("“%(device)s” is %(done)s.") % {"device": called(row), "done": chosen.done})
            return redirect(page_of(user, row))
    elif form.is_bound:
        status = 400
    return device_page(
        request, "act.html", chosen.title, row, form, status, act=chosen, possible=chosen.possible(row), ends=act in ENDS
    )


suspend, resume, unlock, retire, take_back = (
    partial(act_page, act=name) for name in ("suspend", "resume", "unlock", "retire", "take_back")
)


@require_http_methods(["GET", "HEAD", "POST"])
def resync(request: HttpRequest, device: UUID) -> HttpResponse:
    """`devices/<uuid>/resync/`: two codes that the person reads from the token line it up; how far it was off is said."""
    row, user = on(request, device), actor(request)
    form, status = TwoCodesForm(request.POST if request.method == "POST" else None), 200
    if form.is_valid():
        window, now, before = RESYNC_WINDOW_ADMINISTRATOR, timezone.now(), row.counter
        try:
            lined_up = lining_up.resync(row, form.answers, client(request), now, window=window, actor=user.uuid)
        except Refused as refused:
            status = refuse_in_form(form, refused)
            form.data = {}  # the codes are not shown again
        else:
            say(request, how_far(lined_up, before))
            return redirect(page_of(user, row))
    elif form.is_bound:
        status = 400
    return device_page(request, "resync.html", _("Line up with two codes"), row, form, status)


def how_far(row: Device, before: int) -> str:
    """That the token is lined up, and how far it was off: presses, or its clock, with a warning where that is much."""
    said = [_("“%(device)s” is lined up.") % {"device": called(row)}]
    if row.kind == Kind.HOTP:
        said.append(_("Its counter went on by %(n)d.") % {"n": row.counter - before})
    elif off := words.clock_off(row):
        said.append(_("Its clock: %(off)s.") % {"off": off})
    else:
        said.append(_("Its clock is right."))
    if abs(row.drift) * row.period > SUSPICIOUS:
        said.append(_("That is much: its battery may be going. Replace it soon."))
    return " ".join(said)


@require_safe
def receipt(request: HttpRequest, device: UUID) -> HttpResponse:
    """`devices/<uuid>/receipt/`: to be printed and signed by whom the token was handed out to."""
    row = on(request, device)
    by = User.objects.filter(uuid=row.handed_out_by).first() if row.handed_out_by else None
    return device_page(request, "receipt.html", _("Receipt"), row, None, 200, by=by)


def on(request: HttpRequest, device: UUID) -> Device:
    """The device, on which this administrator may act; Refused NOT_FOUND, NOT_PERMITTED."""
    row = find(device)
    refuse_higher(actor(request), row.user)
    return row


def actor(request: HttpRequest) -> User:
    """The administrator."""
    assert isinstance(request.user, User)
    return request.user


def called(row: Device) -> str:
    """What to call it: as its owner does, else by its serial."""
    return row.name or row.serial or kinds.title(row)


def page_of(user: User, row: Device) -> str:
    """The device's page, or the front page for who may not see that."""
    return reverse("admin:devices_device_change", args=[row.pk]) if may(user, "view_people") else reverse("admin:index")


def device_page(
    request: HttpRequest, template: str, title: Any, row: Device, form: Form | None, status: int, **more: Any
) -> HttpResponse:
    """A page about the device, with what identifies it."""
    shown = {"row": row, "form": form, "errors": bool(form and form.errors), "called": called(row), **more}
    shown |= {"device_page": page_of(actor(request), row), "state": words.state(row, timezone.now())}
    is_last = row.user_id is not None and own_devices.is_last(row, timezone.now())
    return render(request, template, title, status=status, **shown, is_last=is_last)
