"""People at the desk: created, given time for a first device, signed out everywhere, given roles."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts import own_sessions, people, signin
from accounts.models import User
from accounts.views.frame import refuse_in_form, say
from desk import giving_roles
from desk.approvals import approved
from desk.gate import refuse_higher
from desk.pages.frame import render
from mfa_site.client import client
from mfa_site.errors import Reason, Refused

LONGEST_DAYS = people.LONGEST_FIRST_ENROLMENT.days


class NewPerson(forms.Form):
    """Who is created, and until when a first device may be enrolled."""

    username = forms.CharField(label=gettext_lazy("Username"), max_length=150)
    name = forms.CharField(label=gettext_lazy("Name"), max_length=150, required=False)
    email = forms.EmailField(label=gettext_lazy("E-mail"), max_length=254, required=False)
    days = forms.IntegerField(
        label=gettext_lazy("Days in which a first device may be enrolled"), min_value=1, max_value=LONGEST_DAYS, initial=7
    )


class Days(forms.Form):
    """How long from now."""

    days = forms.IntegerField(label=gettext_lazy("Days from now"), min_value=1, max_value=LONGEST_DAYS, initial=7)


class Roles(forms.Form):
    """Which of the ready roles somebody has."""

    roles = forms.MultipleChoiceField(
        label=gettext_lazy("Roles"), required=False, widget=forms.CheckboxSelectMultiple, choices=giving_roles.choices
    )


def create(request: HttpRequest) -> HttpResponse:
    """`people/create/`: a new person; their first password is shown once."""
    form = NewPerson(request.POST or None)
    status = 200
    if form.is_valid():
        given, now, actor = form.cleaned_data, timezone.now(), _actor(request)
        try:
            person, password = people.create(
                *(given["username"], given["email"], given["name"], client(request), now),
                actor=actor.uuid,
                enrol_within=timedelta(days=given["days"]),
            )
        except Refused as refused:
            status = refuse_in_form(form, refused)
        else:
            title = _("%(name)s was created") % {"name": person.username}
            return render(request, "person_created.html", title, person=person, password=password)
    elif form.is_bound:
        status = 400
    return render(request, "person_create.html", _("Create a person"), status=status, form=form)


def first_device(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`people/<uuid>/first-device/`: more time for somebody who never had a device."""
    person, actor, now = _person(request, uuid), _actor(request), timezone.now()
    form, status = Days(request.POST or None), 200
    if form.is_valid():
        try:
            within, who = timedelta(days=form.cleaned_data["days"]), client(request)
            with approved("administrators", f"first-device:{person.uuid}", actor, who, now, person=person):
                people.renew_first_enrolment(person, who, now, actor=actor.uuid, within=within)
        except Refused as refused:
            status = refuse_in_form(form, refused)
        else:
            say(request, _("%(name)s may enrol a first device.") % {"name": person.username})
            return redirect(page_of(person))
    elif form.is_bound:
        status = 400
    had, may = people.has_had_device(person), signin.may_enrol_first(person, now)
    return render(
        request, "first_device.html", _("Time for a first device"), status=status, **_about(person, form), had=had, may=may
    )


def end_sessions(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`people/<uuid>/sessions/`: what the person has open, and the button that ends all of it."""
    person, now = _person(request, uuid), timezone.now()
    if request.method == "POST":
        ended = people.end_sessions(person, client(request), now, actor=_actor(request).uuid)
        say(request, ngettext("%(n)d session was ended.", "%(n)d sessions were ended.", ended) % {"n": ended})
        return redirect(page_of(person))
    open_now = own_sessions.listed(person, person.uuid, now)
    return render(request, "end_sessions.html", _("End sessions"), **_about(person), sessions=open_now)


def give_roles(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`people/<uuid>/roles/`: which roles the person has; nobody gives himself any."""
    person, actor = _person(request, uuid), _actor(request)
    form = Roles(request.POST if request.method == "POST" else None, initial={"roles": giving_roles.of(person)})
    status = 400 if form.is_bound else 200
    if form.is_bound and form.is_valid():
        try:
            giving_roles.give(person, form.cleaned_data["roles"], client(request), timezone.now(), actor=actor)
        except Refused as refused:
            status = refuse_in_form(form, refused)
        else:
            say(request, _("%(name)s has these roles now. Open sessions were ended.") % {"name": person.username})
            return redirect(page_of(person))
    return render(request, "roles.html", _("Roles"), status=status, **_about(person, form), explained=giving_roles.explained())


def page_of(person: User) -> str:
    """The person's page."""
    return reverse("admin:accounts_user_change", args=[person.pk])


def _person(request: HttpRequest, uuid: UUID) -> User:
    """The person, whom this administrator may touch."""
    found = User.objects.filter(uuid=uuid).first()
    if found is None:
        raise Refused(Reason.NOT_FOUND)
    refuse_higher(_actor(request), found)
    return found


def _actor(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _about(person: User, form: forms.Form | None = None) -> dict[str, Any]:
    return {"person": person, "person_page": page_of(person), "form": form}
