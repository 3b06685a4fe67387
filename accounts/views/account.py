"""One's own pages: home, devices, signing out."""

from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import activity, enrolment, lining_up, own_devices, recovery, rules, try_out
from accounts.api.own import may_enrol, person
from accounts.forms import NameForm, TwoCodesForm
from accounts.sessions import session_of
from accounts.views.enrol_page import enrol_page, kinds_to_add
from accounts.views.frame import first_error, say, signed_in_page, typed_before
from accounts.words import sentence
from audit.events import record
from devices import kinds
from devices.lifecycle import State
from devices.models import Device, Kind
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import STEP_UP, check, needs


@require_safe
@signed_in_page
@needs()
def home(request: HttpRequest) -> HttpResponse:
    """The security home: who is signed in, how, with which devices, since when the password, and what happened last."""
    user = person(request)
    lines, _more = activity.of(user, most=3)
    context = {
        "person": user,
        "count": len(own_devices.that_sign_in(user)),
        "codes": recovery.current(user),
        "password_changed_at": activity.password_changed_at(user),
        "lines": lines,
    }
    return render(request, "accounts/home.html", context)


@require_safe
@signed_in_page
@needs()
def devices(request: HttpRequest) -> HttpResponse:
    """One card for each device."""
    rows = [(row, kinds.module(row.kind)) for row in own_devices.listed(person(request))]
    has_codes = any(row.kind == Kind.RECOVERY for row, _kind in rows)
    return render(request, "accounts/devices.html", {"rows": rows, "has_codes": has_codes, "now": timezone.now()})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@needs()
def device(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One device: rename it, report it lost, remove it."""
    row = own_devices.one(person(request), uuid)
    typed = typed_before(request)
    renaming = request.POST if request.POST.get("action") == "rename" else None
    form = NameForm(renaming, initial={"name": typed.get("name", row.name)})
    error, status = "", 200
    if request.method == "POST":
        losing = request.POST.get("action") == "lose"
        if request.POST.get("action") != "resync":  # two codes that follow each other are proof enough
            check(request, **(own_devices.needed_to_lose(row) if losing else STEP_UP))
        try:
            if request.POST.get("action") == "remove":
                return removed(request, row)
            if losing:
                return lost(request, row)
            if request.POST.get("action") == "resync":
                return lined_up(request, row)
            if request.POST.get("action") == "rename" and form.is_valid():
                own_devices.rename(row, form.cleaned_data["name"], client(request))
                say(request, _("The device is now called “%(name)s”.") % {"name": row.name})
                return redirect("device", uuid)
            status = 400
        except Refused as refused:
            error, status = sentence(refused), refused.reason.status
    context = {"device": row, "kind": kinds.module(row.kind), "form": form, "error": error, "opened": opened_this(request, row)}
    now, action = timezone.now(), request.POST.get("action")
    chosen = typed.get("action") or (action if action != "rename" else None)  # what is folded out
    context |= {"is_last": own_devices.is_last(row), "now": now, "chosen": chosen}
    context |= {"can_resync": kinds.module(row.kind).can_resync(row) and row.is_usable(now), "two": TwoCodesForm()}
    context |= {"is_over": row.is_over(now), "is_early": row.valid_from is not None and row.valid_from > now}
    context |= {
        "is_off": row.kind in settings.KINDS_OFF,
        "is_blocked": bool(rules.blocked(row)),
        "can_be_tested": try_out.is_possible(row, now),
        "codes": row.kind == Kind.RECOVERY and recovery.current(person(request)),
    }
    return render(request, "accounts/device.html", context, status=status)


def opened_this(request: HttpRequest, row: Device) -> bool:
    """Whether this very session was opened with the device."""
    session = session_of(request).row
    return session is not None and session.device_id == row.pk


def lined_up(request: HttpRequest, row: Device) -> HttpResponse:
    """Two codes in a row have lined the token up."""
    form = TwoCodesForm(request.POST)
    if not form.is_valid():
        raise Refused(Reason.MALFORMED, detail=first_error(form))
    lining_up.resync(row, form.answers, client(request), timezone.now())
    say(request, _("“%(name)s” is lined up and works again.") % {"name": row.name})
    return redirect("device", row.uuid)


def lost(request: HttpRequest, row: Device) -> HttpResponse:
    """The device is lost; the session goes with it if the device had opened it."""
    own_devices.lose(row, client(request), timezone.now())
    if opened_this(request, row):
        return signed_out(request, "lost")
    say(request, _("“%(name)s” is reported lost, and what it had opened has ended.") % {"name": row.name})
    return redirect("device", row.uuid)


def removed(request: HttpRequest, row: Device) -> HttpResponse:
    """The device is removed; the session goes with it if the device had opened it."""
    name = row.name
    own_devices.remove(row, client(request), timezone.now())
    if opened_this(request, row):
        return signed_out(request, "removed")
    if row.state == State.IN_STOCK:
        say(request, _("“%(name)s” is not yours any more. Hand it in where you got it.") % {"name": name})
    else:
        say(request, _("“%(name)s” was removed. It may still list this site; you can delete the entry there.") % {"name": name})
    return redirect("devices")


def signed_out(request: HttpRequest, why: str) -> HttpResponse:
    """The session ends with the device that opened it; the sign-in page says why."""
    session_of(request).end(f"device_{why}", timezone.now())
    return redirect(f"{reverse('sign-in')}?signed_out={why}")


@require_safe
@signed_in_page
@needs()
def add_choice(request: HttpRequest) -> HttpResponse:
    """Which kind of device?"""
    may_enrol(request)
    return render(request, "accounts/add_device.html", {"rows": kinds_to_add(person(request))})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@needs()
def add(request: HttpRequest, kind: str) -> HttpResponse:
    """Scan or touch, then confirm."""
    may_enrol(request)
    if kind not in dict(kinds_to_add(person(request))):
        raise Refused(Reason.NOT_FOUND)
    user, sid, now, caller = person(request), check(request).sid, timezone.now(), client(request)

    def begun(given: dict[str, str] | None, again: bool) -> enrolment.Begun | None:
        ceremony = enrolment.in_progress(user, sid, now, device__kind=kind) if given is None else None
        if ceremony is not None:
            return enrolment.show_again(ceremony, now, again=again)
        if given is None and kinds.module(kind).ASKS:
            return None
        return enrolment.begin(user, kind, given or {}, sid, caller, now)

    def confirmed(given: object) -> HttpResponse:
        ceremony = enrolment.in_progress(user, sid, now, device__kind=kind)
        if ceremony is None:
            raise Refused(Reason.NO_CHALLENGE)
        row = enrolment.confirm(ceremony, given, caller, now)
        say(request, _("“%(name)s” is ready. You can give it a name of your own.") % {"name": row.name})
        return redirect("device", row.uuid)

    try:
        return enrol_page(request, kind, begun, confirmed, back=reverse("add-device"))
    except Refused as refused:
        if refused.reason not in (Reason.SIGN_IN_OVER, Reason.WRONG_STATE, Reason.TOO_MANY_ATTEMPTS):
            raise
        context = {"rows": kinds_to_add(user), "error": sentence(refused)}
        return render(request, "accounts/add_device.html", context, status=refused.reason.status)


@require_http_methods(["POST"])
@signed_in_page
@needs()
def sign_out(request: HttpRequest) -> HttpResponse:
    """The session is ended, its cookie gone, and what the browser kept of the pages too."""
    proof = check(request)
    with transaction.atomic():
        session_of(request).end("signed_out", timezone.now())
        record("signed_out", client=client(request), person=proof.person, sid=proof.sid)
    return left(request)


def left(request: HttpRequest) -> HttpResponse:
    """Where a browser lands whose session has ended by its own wish; it forgets what it kept of the pages."""
    response = redirect(f"{reverse('sign-in')}?signed_out=1")
    response["Clear-Site-Data"] = '"cache", "storage"'
    return response
