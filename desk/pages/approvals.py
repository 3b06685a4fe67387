"""`approvals/`: what waits for a second administrator."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.views.frame import say
from accounts.words import sentence
from desk import approvals
from desk.models import Approval
from desk.pages.frame import render
from mfa_site.client import client
from mfa_site.errors import Reason, Refused

LAST = 20  # decided ones that are shown


class Decision(forms.Form):
    """Which one, and how it was decided."""

    approval = forms.UUIDField()
    decision = forms.ChoiceField(choices=[("approve", ""), ("refuse", "")])


def page(request: HttpRequest) -> HttpResponse:
    """Requests that wait, each with its two buttons, and the last that were decided."""
    now, actor, error, status = timezone.now(), request.user, "", 200
    assert isinstance(actor, User)
    if request.method == "POST":
        form = Decision(request.POST)
        row = Approval.objects.filter(uuid=form.cleaned_data["approval"]).first() if form.is_valid() else None
        if row is None:
            raise Refused(Reason.NOT_FOUND)
        approve = form.cleaned_data["decision"] == "approve"
        try:
            approvals.decide(row, actor, client(request), now, approve=approve)
        except Refused as refused:
            error, status = sentence(refused), refused.reason.status
        else:
            say(request, _("Approved. Who asked can do it now.") if approve else _("Refused."))
            return redirect("admin:approvals")
    rows = [*approvals.waiting(now), *Approval.objects.exclude(decided_by=None).order_by("-id")[:LAST]]
    ids = {uuid for row in rows for uuid in (row.asked_by, row.decided_by, row.person) if uuid}
    names = dict(User.objects.filter(uuid__in=ids).values_list("uuid", "username"))
    shown = [
        {
            "row": row,
            "what": approvals.in_words(row),
            "asked_by": names.get(row.asked_by, ""),
            "decided_by": names.get(row.decided_by, "") if row.decided_by else "",
            "person": names.get(row.person, "") if row.person else "",
            "mine": actor.uuid in (row.asked_by, row.person),
        }
        for row in rows
    ]
    return render(request, "approvals.html", _("Approvals"), status=status, error=error, rows=shown)
