"""Somebody stands at the desk without their device: it is reported lost, and they get a temporary code."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts import out_of_use, temporary
from accounts.models import User
from accounts.out_of_use import Loss, Seen
from accounts.views.frame import refuse_in_form, say
from accounts.words import sentence
from desk.acts import Lost, beginning, can_be_lost
from desk.api import somebody
from desk.approvals import approved
from desk.gate import may, refuse_higher, refuse_oneself
from desk.pages.devices import actor, called, device_page, on, page_of
from desk.pages.frame import render
from devices.lifecycle import State
from devices.models import Device, Kind
from mfa_site.client import client
from mfa_site.errors import Reason, Refused

SEEN = gettext_lazy("How do you know who it is?")
LONGEST_HOURS = int(temporary.LONGEST.total_seconds() // 3600)


class LostAtTheDesk(Lost):
    """What became of it, how the person was known, and whether they need a code."""

    seen = forms.MultipleChoiceField(label=SEEN, choices=Seen, required=False, widget=forms.CheckboxSelectMultiple)
    issue_code = forms.BooleanField(label=gettext_lazy("Issue a temporary code"), required=False)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        self.order_fields(("loss", "until", "seen", "why", "issue_code"))

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("issue_code"):
            if not given.get("seen"):
                self.add_error("seen", _("A code opens the account: say how you made sure of whom you help."))
            if not given.get("why", "").strip():
                self.add_error("why", _("A code needs a reason."))
        return given


class NewCode(forms.Form):
    """How the person was known, why, and what the code is good for."""

    seen = forms.MultipleChoiceField(
        label=SEEN,
        choices=Seen,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("A code opens the account: say how you made sure of whom you help.")},
    )
    why = forms.CharField(
        label=gettext_lazy("Why"), max_length=temporary.REASON_LENGTH, help_text=gettext_lazy("For the audit.")
    )
    uses = forms.IntegerField(label=gettext_lazy("How often it opens"), min_value=1, max_value=temporary.MOST_USES, initial=1)
    hours = forms.IntegerField(label=gettext_lazy("How many hours it lives"), min_value=1, max_value=LONGEST_HOURS, initial=24)
    replaces = forms.CharField(required=False, max_length=36, widget=forms.HiddenInput)


@require_http_methods(["GET", "HEAD", "POST"])
def lost(request: HttpRequest, device: UUID) -> HttpResponse:
    """`devices/<uuid>/lost/`: lost, stolen, broken or forgotten; the code is shown once, in the answer to the form."""
    row, user = on(request, device), actor(request)
    form, status = LostAtTheDesk(request.POST if request.method == "POST" else None), 200
    if row.user is None or row.user == user or not may(user, "issue_temporary_code"):
        del form.fields["issue_code"]
    if form.is_valid():
        given, now = form.cleaned_data, timezone.now()
        until = beginning(given["until"]) if given["loss"] == Loss.FORGOTTEN else None
        about: dict[str, Any] = {"actor": user.uuid, "until": until, "why": given["why"], "seen": given["seen"]}
        try:
            out_of_use.report(row, given["loss"], client(request), now, **about)
        except Refused as refused:
            status = refuse_in_form(form, refused)
        else:
            say(request, _("“%(device)s” is out of use, and what it opened has ended.") % {"device": called(row)})
            if given.get("issue_code") and row.user:
                return code_after_loss(request, row, row.user, given)
            return redirect(page_of(user, row))
    elif form.is_bound:
        status = 400
    title = _("Report lost, stolen, broken or forgotten")
    return device_page(request, "lost.html", title, row, form, status, possible=can_be_lost(row))


def code_after_loss(request: HttpRequest, row: Device, person: User, given: dict[str, Any]) -> HttpResponse:
    """The code, for a day and one use; where none can be issued the device is lost all the same, and why is said."""
    try:
        by, now = actor(request).uuid, timezone.now()
        what, who = f"temporary-code:{person.uuid}", client(request)
        with approved("administrators", what, actor(request), who, now, person=person, reason=given["why"]):
            issued, code = temporary.issue(person, given["why"], who, now, actor=by, seen=given["seen"])
    except Refused as refused:
        say(request, _("No code was issued: %(why)s") % {"why": sentence(refused)})
        return redirect(page_of(actor(request), row))
    return code_page(request, person, issued, code)


@require_http_methods(["GET", "HEAD", "POST"])
def temporary_code(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`people/<uuid>/temporary-code/`: a code in place of any other, shown once.

    The form says which code it replaces, so that a reload or a second click issues no second one unseen.
    """
    person, user = somebody(uuid), actor(request)
    refuse_higher(user, person)
    refuse_oneself(user, person)
    form, status, again = NewCode(request.POST if request.method == "POST" else None), 200, False
    if form.is_valid() and form.cleaned_data["replaces"] != current(person):
        again, status = True, 409
    elif form.is_valid():
        given, life = form.cleaned_data, timedelta(hours=form.cleaned_data["hours"])
        about: dict[str, Any] = {"actor": user.uuid, "uses": given["uses"], "life": life, "seen": given["seen"]}
        try:
            what, who, now = f"temporary-code:{person.uuid}", client(request), timezone.now()
            with approved("administrators", what, user, who, now, person=person, reason=given["why"]):
                issued, code = temporary.issue(person, given["why"], who, now, **about)
        except Refused as refused:
            if refused.reason not in (Reason.WRONG_STATE, Reason.MALFORMED, Reason.APPROVAL_NEEDED):
                raise
            status = refuse_in_form(form, refused)
        else:
            return code_page(request, person, issued, code)
    elif form.is_bound:
        status = 400
    if not form.is_bound or again:
        form = NewCode(initial={"replaces": current(person)})
    shown: dict[str, Any] = {"person": person, "form": form, "errors": bool(form.errors), "again": again}
    shown["replaces"] = current(person)
    page = reverse("admin:accounts_user_change", args=[person.pk])
    return render(request, "temporary_code.html", _("Issue a temporary code"), status=status, person_page=page, **shown)


def current(person: User) -> str:
    """The uuid of the person's temporary code as the form says it; empty for none."""
    row = Device.objects.filter(user=person, kind=Kind.TEMPORARY).exclude(state=State.RETIRED).first()
    return str(row.uuid) if row else ""


def code_page(request: HttpRequest, person: User, issued: Device, code: str) -> HttpResponse:
    """The code in clear, this once."""
    page = reverse("admin:accounts_user_change", args=[person.pk])
    title = _("Temporary code")
    return render(request, "code_issued.html", title, person=person, issued=issued, code=code, person_page=page)
