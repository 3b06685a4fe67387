"""The page of what happened to one's account."""

import re

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts import activity
from accounts.api.own import person
from accounts.views.frame import signed_in_page
from mfa_site.errors import Reason, Refused
from mfa_site.proof import needs


@require_safe
@signed_in_page
@needs()
def page(request: HttpRequest) -> HttpResponse:
    """Newest first; `?before=` goes on."""
    before = request.GET.get("before", "")
    if before and not re.fullmatch("[1-9][0-9]{0,17}", before):
        raise Refused(Reason.NOT_FOUND)
    lines, more = activity.of(person(request), int(before) if before else None)
    return render(request, "accounts/activity.html", {"lines": lines, "more": more, "before": before})
