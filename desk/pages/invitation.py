"""Inviting a person to enrol a device: the link, the code and the QR code once, and what became of those before."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts import invitations, policy
from accounts.api import shapes
from accounts.models import Invitation, User
from accounts.views.enrol_page import kinds_to_add
from accounts.views.frame import refuse_in_form, say
from desk.api import somebody
from desk.approvals import approved
from desk.gate import refuse_higher
from desk.pages.frame import render
from devices import kinds, qr
from devices.models import Device
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import check

TITLE = gettext_lazy("Invite to enrol a device")
LISTED = 10  # of a person; older ones are in the audit


class InviteForm(forms.Form):
    """What the invitation is for. `replaces` says which open one the page showed, so that a reload makes no second one."""

    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("What may be added"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose one kind at least.")},
    )
    ask_surviving_factor = forms.BooleanField(
        required=False,
        help_text=gettext_lazy("Switch it off only if none of them is at hand, and you know who is in front of you."),
    )
    replaces = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any, replaces: str, surviving: list[Device]) -> None:
        offered = [(name, module.TITLE) for name, module in kinds_to_add()]
        strong = [name for name, module in kinds_to_add() if module.ACR != policy.WEAK]
        initial = {"kinds": strong, "ask_surviving_factor": True, "replaces": replaces}
        super().__init__(data, initial=initial)
        self.fields["kinds"].choices = offered  # type: ignore[attr-defined]
        names = ", ".join(row.name or kinds.title(row) for row in surviving)
        self.fields["ask_surviving_factor"].label = _("First ask for a device that the person still has (%(names)s)") % {
            "names": names
        }
        if not surviving:
            del self.fields["ask_surviving_factor"]


@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET shows what there is, POST makes a new one in place of it, or withdraws it."""
    person = somebody(uuid)
    refuse_higher(request.user, person)  # type: ignore[arg-type]  # the gate let nobody else in
    if request.POST.get("action") == "withdraw":
        return withdraw(request, person)
    surviving = policy.surviving(person, timezone.now())
    form = InviteForm(request.POST or None, open_one(person), surviving)
    if request.method != "POST" or not person.is_active:
        return state_page(request, person, form)
    if not form.is_valid():
        return state_page(request, person, form, status=400)
    if form.cleaned_data["replaces"] != open_one(person):
        return again(request, person, surviving)
    try:
        made = make(request, person, form.cleaned_data)
    except Refused as refused:
        if refused.reason is Reason.WRONG_STATE:
            return again(request, person, surviving)
        if refused.reason is Reason.NOT_PERMITTED:
            raise
        return state_page(request, person, form, status=refuse_in_form(form, refused))
    shown = about(person) | {"made": made, "qr": qr.svg(made.url), "kinds": titles(made.invitation)}
    shown["code_address"] = settings.BASE_URL + reverse("invitation-code")
    return render(request, "invitation_made.html", _("Invitation for %(name)s") % {"name": person.username}, **shown)


def make(request: HttpRequest, person: User, asked: dict[str, Any]) -> invitations.Made:
    """The invitation that the form asks for; where there was nothing to ask for, it asks for what there may be by then."""
    user, who, now = request.user, client(request), timezone.now()
    assert isinstance(user, User)
    ask = asked.get("ask_surviving_factor", True)
    with approved("administrators", f"invitation:{person.uuid}", user, who, now, person=person):
        return invitations.make(person, asked["kinds"], who, now, actor=user.uuid, ask_surviving_factor=ask)


def withdraw(request: HttpRequest, person: User) -> HttpResponse:
    """The invitation that the page showed is withdrawn, if it was open still."""
    row = Invitation.objects.filter(person=person, uuid=shapes.uuid(request.POST.get("invitation", ""))).first()
    if row is None:
        raise Refused(Reason.NOT_FOUND)
    try:
        invitations.withdraw(row, client(request), timezone.now(), actor=check(request).person)
        say(request, _("The invitation is withdrawn. Its link and its code open nothing any more."))
    except Refused as refused:
        if refused.reason is not Reason.WRONG_STATE:
            raise
    return redirect(request.path)


def again(request: HttpRequest, person: User, surviving: list[Device]) -> HttpResponse:
    """An invitation was made a moment ago, whose secrets are not shown a second time."""
    form = InviteForm(None, open_one(person), surviving)
    return state_page(request, person, form, status=409, again=True)


def state_page(request: HttpRequest, person: User, form: InviteForm, *, status: int = 200, again: bool = False) -> HttpResponse:
    """The form, and the person's last invitations with what became of each."""
    now = timezone.now()
    rows = [
        (row, row.state(now), row.is_open(now), titles(row))
        for row in Invitation.objects.filter(person=person).order_by("-id")[:LISTED]
    ]
    shown = about(person) | {"form": form, "rows": rows, "again": again}
    return render(request, "invite.html", TITLE, status=status, **shown)


def about(person: User) -> dict[str, Any]:
    """Whom the page is about, and where to go back to."""
    return {"person": person, "person_page": reverse("admin:accounts_user_change", args=[person.pk])}


def open_one(person: User) -> str:
    """The uuid of the person's open invitation; empty for none."""
    return str(Invitation.objects.usable(timezone.now()).filter(person=person).values_list("uuid", flat=True).first() or "")


def titles(row: Invitation) -> list[Any]:
    """What it is for, in words."""
    return [kinds.module(kind).TITLE for kind in row.kinds]
