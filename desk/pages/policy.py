"""Policy at the desk: everybody's and each group's, who would be hit before a change is made, what applies to one person."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import changing_policy, policy_words, rules, who_is_hit
from accounts.api.own import person
from accounts.models import User
from accounts.rules import Rule
from accounts.words import sentence, state
from desk.forms_policy import GroupForm, PolicyForm
from desk.pages.frame import render
from devices import kinds
from devices.models import Device
from mfa_site.client import client
from mfa_site.errors import Reason, Refused


def overview(request: HttpRequest) -> HttpResponse:
    """Every policy in a few words, and a form for one more group."""
    form = GroupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            group = changing_policy.create_group(form.cleaned_data["name"], client(request), actor=person(request).uuid)
        except Refused:
            form.add_error("name", _("There is a group of that name already, or that is no name."))
        else:
            messages.success(
                request, _("The group “%(name)s” is there. Say what applies, and who is in it.") % {"name": group.name}
            )
            return redirect("admin:group-policy", group.pk)
    held = who_is_hit.policies()
    editable = set(changing_policy.groups().values_list("pk", flat=True))
    rows = [
        {"group": group, "lines": asked_by(held.get(group.pk)), "has_people": group.pk in editable}
        for group in Group.objects.order_by("name")
    ]
    context = {"form": form, "rows": rows, "everybody": asked_by(held.get(None))}
    return render(request, "policy.html", _("Policy"), status=400 if form.errors else 200, **context)


def asked_by(rule: Rule | None) -> list[policy_words.Line]:
    """What the rule asks for, without what it leaves open."""
    if rule is None:
        return []
    return [line for line, free in zip(policy_words.lines(rule), policy_words.lines(Rule()), strict=True) if line != free]


def everybody(request: HttpRequest) -> HttpResponse:
    """Everybody's policy."""
    return edit(request, None)


def of_group(request: HttpRequest, pk: int) -> HttpResponse:
    """The policy of one group."""
    return edit(request, a_group(pk))


def a_group(pk: int) -> Group:
    """The group; Refused NOT_FOUND."""
    found: Group | None = Group.objects.filter(pk=pk).first() if pk < 2**31 else None
    if found is None:
        raise Refused(Reason.NOT_FOUND)
    return found


def edit(request: HttpRequest, group: Group | None) -> HttpResponse:
    """The form; then who would be hit; then the change is made."""
    rule, version = changing_policy.current(group)
    form = PolicyForm(request.POST or None, initial=PolicyForm.said(rule, version))
    title = _("Policy of %(name)s") % {"name": group.name} if group else _("Policy of everybody")
    status = 200
    if request.method == "POST":
        if form.is_valid() and request.POST.get("action") != "back":
            wanted = form.wanted(rule.group)
            if request.POST.get("action") != "save":
                return preview(request, group, rule, wanted, form)
            try:
                return saved(request, group, wanted, form.cleaned_data["version"])
            except Refused as refused:
                form.add_error(None, stale() if refused.reason is Reason.WRONG_STATE else sentence(refused))
                status = refused.reason.status
        elif form.errors:
            status = 400
    context = {"form": form, "group": group}
    return render(request, "policy_edit.html", title, status=status, **context)


def stale() -> str:
    """Somebody else was faster."""
    return _("Somebody else changed this policy meanwhile. Go back to the list and look at it again.")


def preview(request: HttpRequest, group: Group | None, rule: Rule, wanted: Rule, form: PolicyForm) -> HttpResponse:
    """What would change, and who would be hit."""
    context: dict[str, Any] = {
        "differences": policy_words.differences(rule, wanted),
        "weaker": changing_policy.is_weaker(rule, wanted),
        "hit": who_is_hit.by_change(group, wanted),
        "group": group,
        "hidden": form.as_sent(),
        "strands_me": not who_is_hit.left_with(person(request), group, wanted),
    }
    return render(request, "policy_preview.html", _("Who would be hit"), **context)


def saved(request: HttpRequest, group: Group | None, wanted: Rule, version: int) -> HttpResponse:
    """The change is made."""
    user, now = person(request), timezone.now()
    changing_policy.change_policy(group, wanted, version, client(request), now, actor=user.uuid, of=user)
    messages.success(request, _("The policy is in force."))
    return redirect("admin:policy")


def of_person(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """What applies to one person and why, and which devices satisfy it."""
    user = User.objects.filter(uuid=uuid).first()
    if user is None:
        raise Refused(Reason.NOT_FOUND)
    asked = rules.of(user.pk)
    now = timezone.now()
    rows: list[dict[str, Any]] = [
        {
            "device": row,
            "kind": kinds.title(row),
            "state": state(row, now),
            "against": [policy_words.why(rule, field) for rule in asked.rules if (field := rule.against(row))],
            "limited": kinds.module(row.kind).STANDS_IN and asked.is_above(kinds.module(row.kind).ACR),
        }
        for row in Device.of(user.pk)
    ]
    context: dict[str, Any] = {"person": user, "lines": policy_words.strictest(asked.rules), "rows": rows}
    context |= {"groups": [policy_words.group(rule) for rule in asked.rules]}
    context["person_page"] = reverse("admin:accounts_user_change", args=[user.pk])
    context["helpless"] = bool(rows) and all(row["against"] or kinds.module(row["device"].kind).STANDS_IN for row in rows)
    title = _("What policy applies to %(name)s") % {"name": user.username}
    return render(request, "policy_person.html", title, **context)


def back_to(group: Group) -> str:
    """The page of who is in the group."""
    return reverse("admin:group-people", args=[group.pk])
