"""The pages of one's recovery codes: how many are left, a new set shown once, and what follows from using one."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_safe

from accounts import own_devices, recovery
from accounts.api.own import may_enrol, person
from accounts.recovery import Codes
from accounts.views.frame import safe_next, signed_in_page
from accounts.words import sentence
from devices import kinds
from devices.kinds.recovery import CODES, are_of
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import needs


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@needs()
def page(request: HttpRequest) -> HttpResponse:
    """How many are left; POST makes a new set and shows it, this once.

    The form says which set it replaces, so that a reload or a second click shows no codes that are dead already.
    """
    codes = recovery.current(person(request))
    if request.method != "POST":
        return state_page(request, codes)
    sid = may_enrol(request).sid
    if request.POST.get("replaces", "") != set_of(codes):
        return state_page(request, codes, again=True)
    try:
        device, new = recovery.new_set(person(request), sid, "", client(request), timezone.now())
    except Refused as refused:
        if refused.reason is Reason.KIND_BLOCKED_BY_POLICY:
            return state_page(request, codes, error=sentence(refused))
        if refused.reason is not Reason.WRONG_STATE:
            raise
        return state_page(request, recovery.current(person(request)), again=True)
    return render(
        request, "accounts/recovery_codes_new.html", {"codes": new, "made": device.created_at, "person": person(request)}
    )


def state_page(request: HttpRequest, codes: Codes | None, again: bool = False, error: str = "") -> HttpResponse:
    """What there is, with what went wrong; `again` where a set was made a moment ago, whose codes are not shown again."""
    shown = {"codes": codes, "set": set_of(codes), "again": again, "most": CODES, "error": error}
    return render(request, "accounts/recovery_codes.html", shown, status=409 if again or error else 200)


def set_of(codes: Codes | None) -> str:
    """The uuid of the set as the form says it; empty for none."""
    return str(codes.device.uuid) if codes else ""


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@needs()
def file(request: HttpRequest) -> HttpResponse:
    """The codes that the page shows, as a text file. They come with the form: nothing here has them in clear."""
    if request.method != "POST":
        return redirect("recovery-codes")
    user, codes = person(request), recovery.current(person(request))
    given = request.POST.getlist("code")
    if codes is None or len(given) > CODES or not are_of(codes.device, given):
        raise Refused(Reason.NOT_FOUND)
    made = codes.device.created_at
    shown = {"codes": given, "made": made, "person": user}
    response = render(request, "accounts/recovery_codes.txt", shown, content_type="text/plain; charset=utf-8")
    name = f"{slugify(settings.RP_NAME)}-recovery-{user.username}-{made.date()}.txt"
    response["Content-Disposition"] = content_disposition_header(True, name) or ""
    return response


@require_safe
@signed_in_page
@needs()
def used(request: HttpRequest) -> HttpResponse:
    """A recovery code was used: so many are left, and a device is to be added."""
    codes = recovery.current(person(request))
    devices = [row for row in own_devices.listed(person(request)) if not kinds.module(row.kind).STANDS_IN]
    shown = {"codes": codes, "devices": devices, "next": safe_next(request.GET.get("next", ""))}
    return render(request, "accounts/recovery_code_used.html", shown)
