"""Who is in a group: people come into it by a list of names, after a look at who would be hit, and leave it one by one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import changing_policy, who_is_hit
from accounts.api.own import person
from accounts.models import User, normalised
from accounts.words import sentence
from desk.forms_policy import NamesForm
from desk.gate import refuse_higher
from desk.pages.frame import render
from desk.pages.policy import a_group, back_to
from mfa_site.client import client
from mfa_site.errors import Reason, Refused

SHOWN = 50  # members on the page; others are found by name


def people(request: HttpRequest, pk: int) -> HttpResponse:
    """The members, found by the beginning of the name, and the forms by which they come and go."""
    group = a_group(pk)
    if not changing_policy.groups().filter(pk=group.pk).exists():
        raise Refused(Reason.NOT_PERMITTED)  # a role, which is given elsewhere
    form, status = NamesForm(request.POST or None), 200
    if request.method == "POST" and request.POST.get("action") != "back":
        try:
            if not form.is_valid():
                raise Refused(Reason.MALFORMED)
            return moved(request, group, form.cleaned_data["names"])
        except Refused as refused:
            if refused.reason not in (Reason.MALFORMED, Reason.NOT_PERMITTED):
                raise
            status = refused.reason.status
            if not form.errors:
                form.add_error("names", sentence_of(refused))
    return render(request, "policy_people.html", title(group), status=status, **listed(request, group), form=form)


def title(group: Group) -> str:
    """The page's."""
    return _("People in %(name)s") % {"name": group.name}


def sentence_of(refused: Refused) -> str:
    """What is wrong with the names."""
    if refused.reason is Reason.NOT_PERMITTED:
        return _("You may not move yourself, nor people with more rights than you.")
    if "unknown" in refused.facts:
        return _("There is nobody called %(names)s. Nothing was changed.") % {"names": ", ".join(refused.facts["unknown"][:10])}
    return sentence(refused)


def listed(request: HttpRequest, group: Group) -> dict[str, Any]:
    """The first members whose names begin as asked, and how many there are in all."""
    wanted = request.GET.get("q", "")[:150]
    found = User.objects.filter(groups=group)
    rows = found.filter(username_key__startswith=normalised(wanted)) if wanted else found
    return {
        "group": group,
        "q": wanted,
        "count": found.count(),
        "members": rows.order_by("username_key")[:SHOWN],
        "most": SHOWN,
    }


def moved(request: HttpRequest, group: Group, names: str) -> HttpResponse:
    """A look at who would be hit by coming in, or the move itself; one unknown name and nobody moves."""
    user = person(request)
    found, unknown = changing_policy.named(names)
    if unknown:
        raise Refused(Reason.MALFORMED, unknown=unknown)
    for one in found:
        refuse_higher(user, one)
    act = request.POST.get("action")
    if act == "leave":
        count = changing_policy.leave(group, found, client(request), actor=user.uuid)
        messages.success(
            request, ngettext("%(n)d person left the group.", "%(n)d people left the group.", count) % {"n": count}
        )
        return redirect(back_to(group))
    if act != "join":
        context: dict[str, Any] = {
            "group": group,
            "hit": who_is_hit.by_joining(group, found),
            "names": names,
            "count": len(found),
        }
        return render(request, "policy_joining.html", _("Who would be hit"), **context)
    count = changing_policy.join(group, found, client(request), actor=user.uuid)
    said = ngettext("%(n)d person came into the group.", "%(n)d people came into the group.", count)
    messages.success(request, said % {"n": count})
    return redirect(back_to(group))
