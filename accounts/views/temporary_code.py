"""After signing in with a temporary code."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.api.own import person
from accounts.views.frame import safe_next, signed_in_page
from devices.models import Device, Kind
from mfa_site.proof import needs


@require_safe
@signed_in_page
@needs()
def used(request: HttpRequest) -> HttpResponse:
    """What the code opens, how often it still does, and that a device is to be added."""
    now = timezone.now()
    code = Device.of(person(request).pk, now).filter(kind=Kind.TEMPORARY).first()
    usable = code if code and code.is_usable(now) else None
    shown = {"code": usable, "next": safe_next(request.GET.get("next", ""))}
    return render(request, "accounts/temporary_code_used.html", shown)
