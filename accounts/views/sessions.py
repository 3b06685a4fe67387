"""The page of one's own sessions."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts import own_sessions
from accounts.api import shapes
from accounts.api.own import person
from accounts.sessions import session_of
from accounts.views.account import left
from accounts.views.frame import say, signed_in_page
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import check, needs

MOST = 50  # cards on the page; who has more ends all others at once


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@needs()
def sessions(request: HttpRequest) -> HttpResponse:
    """A card for each, the current one first; end one, or all others."""
    if request.method != "POST":
        return shown(request)
    try:
        return ended(request, request.POST.get("session", ""))
    except Refused as refused:
        if refused.reason is not Reason.NOT_FOUND:
            raise
        return shown(request, _("That session is over already."), 404)


def shown(request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
    """The page, with what went wrong."""
    rows = own_sessions.listed(person(request), check(request).sid, timezone.now())
    rows.sort(key=lambda row: (row.current, row.last_seen_at), reverse=True)
    context = {"rows": rows[:MOST], "others": len(rows) - 1, "hidden": max(0, len(rows) - MOST), "error": error}
    return render(request, "accounts/sessions.html", context, status=status)


def ended(request: HttpRequest, which: str) -> HttpResponse:
    """The session of this uuid, or `others`, is ended; the current one leaves as by signing out."""
    user, sid, now, caller = person(request), check(request).sid, timezone.now(), client(request)
    if which == "others":
        count = own_sessions.end_others(user, sid, caller, now)
        say(request, ngettext("%(n)d other session was ended.", "%(n)d other sessions were ended.", count) % {"n": count})
        return redirect("sessions")
    uuid = shapes.uuid(which)
    own_sessions.end(user, uuid, caller, now)
    if uuid == sid:
        session_of(request).end(own_sessions.ENDED, now)
        return left(request)
    say(request, _("That session was ended."))
    return redirect("sessions")
