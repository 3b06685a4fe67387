"""The person's security key in the administrator's machine."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.api.own import person as signed_in
from accounts.forms import KeyForm
from accounts.models import User
from accounts.views.answer import retry_after
from accounts.views.frame import first_error
from accounts.words import sentence
from desk import keys
from desk.pages.frame import render
from devices.lifecycle import State
from devices.models import Device, Kind
from mfa_site.errors import Reason, Refused

TITLE = _("Enrol a security key")
ENROLLED = _("The key is enrolled")
AGAIN = (Reason.NOT_FOUND, Reason.SIGN_IN_OVER, Reason.DEVICE_NOT_USABLE)  # of an answer: what it answers is over


def enrol(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET shows for whom, and the button; POST brings what the key answered."""
    user = signed_in(request)
    if user.uuid == uuid:
        return redirect("add-device-kind", Kind.FIDO2)  # one's own has a page, with rules of its own
    person = keys.holder(user, uuid)
    caught: Refused | None = None
    error, status = "", 200
    if request.method == "POST":
        form = KeyForm(request.POST)
        try:
            if form.is_valid():
                row = keys.confirm(request, user, person, form.given, device__kind=Kind.FIDO2)
                return HttpResponseRedirect(reverse("admin:key-enrolled", args=[person.uuid, row.uuid]))
            error, status = first_error(form), 400
        except Refused as refused:
            if refused.reason in (Reason.STEP_UP_NEEDED, Reason.NOT_SIGNED_IN):
                raise
            caught = Refused(Reason.NO_CHALLENGE) if refused.reason in AGAIN else refused
            error, status = sentence(caught), caught.reason.status
    return show(request, user, person, error, status, caught)


def show(
    request: HttpRequest, user: User, person: User, error: str, status: int, caught: Refused | None = None
) -> HttpResponse:
    """The button for the person's key, or why there is none."""
    options = None
    try:
        begun = keys.go_on(request, user, person)
        options = begun.shown.shown
    except Refused as refused:
        caught, status = refused, refused.reason.status
        error = str(_("This person is disabled.")) if refused.reason is Reason.WRONG_STATE else sentence(refused)
    if options and "application/json" in request.headers.get("Accept", ""):
        return JsonResponse(options)
    context = {"person": person, "person_page": page_of(person), "shown": options, "error": error}
    return retry_after(render(request, "enrol_key.html", TITLE, status=status, **context), caught)


def enrolled(request: HttpRequest, uuid: UUID, device: UUID) -> HttpResponse:
    """The key that was enrolled, and what comes next."""
    person = keys.holder(signed_in(request), uuid)
    row = Device.objects.filter(uuid=device, user=person, kind=Kind.FIDO2, state=State.ACTIVE).first()
    if row is None:
        raise Refused(Reason.NOT_FOUND)
    count = Device.objects.filter(user=person, kind=Kind.FIDO2, state=State.ACTIVE).count()
    context = {"person": person, "person_page": page_of(person), "device": row, "count": count}
    return render(request, "key_enrolled.html", ENROLLED, **context)


def page_of(person: User) -> str:
    """The address of the person's page."""
    return reverse("admin:accounts_user_change", args=[person.pk])
