"""Acts on many devices at once, from their list: chosen, confirmed on a page that counts and names them, done one by one.

Each row is an act of its own, with its own audit event: one that is refused stops no other, and is named with why.
"""

import re
from collections import Counter
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from accounts.words import sentence
from desk.acts import ACTS, Act
from desk.gate import may
from desk.pages.frame import render
from devices.models import Device
from mfa_site.client import client
from mfa_site.errors import Reason, Refused

MOST = 1_000  # rows at once; some seconds on a small machine
NAMED = 100  # on the page that confirms
SKIPPED_NAMED = 10
ID = re.compile("[0-9]{1,18}")
IDS = re.compile(rf"[0-9]{{1,18}}( [0-9]{{1,18}}){{0,{MOST - 1}}}")


class WithActs(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's are not generic when they run
    """A list of devices with the acts that this administrator may do."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Those of the table whose permission they have."""
        user: Any = request.user
        return {
            name: (_action(name), name, _("%(act)s selected devices") % {"act": act.title})
            for name, act in ACTS.items()
            if may(user, act.permission)
        }

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """As Django does it; Refused MALFORMED for ids that are none, which it would take to the database."""
        if not all(ID.fullmatch(one) for one in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise Refused(Reason.MALFORMED)
        return super().response_action(request, *args, **kwargs)


def _action(name: str) -> Any:
    def run(_model_admin: Any, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse | None:
        return confirm(request, name, queryset)

    return run


def confirm(request: HttpRequest, name: str, chosen: QuerySet[Device]) -> HttpResponse | None:
    """The page that asks, or where that was confirmed what became of it; None, with a message, for too many."""
    act, is_confirmed = ACTS[name], "post" in request.POST
    if is_confirmed:
        if not IDS.fullmatch(request.POST.get("ids", "")):
            raise Refused(Reason.MALFORMED)
        chosen = Device.objects.filter(pk__in=[int(one) for one in request.POST["ids"].split(" ")])
    rows = list(chosen.select_related("user").order_by("pk")[: MOST + 1])
    if not 1 <= len(rows) <= MOST:
        messages.warning(request, _("Choose 1 to %(n)d devices.") % {"n": MOST})
        return None
    form = act.form(request.POST if is_confirmed else None)
    if form.is_valid():
        carry_out(request, act, rows, form.cleaned_data)
        return redirect(request.get_full_path())
    ids, impossible = " ".join(str(row.pk) for row in rows), sum(not act.possible(row) for row in rows)
    shown = {"act": act, "name": name, "rows": rows, "shown": rows[:NAMED], "ids": ids, "impossible": impossible}
    status = 400 if form.is_bound else 200
    return render(request, "bulk.html", act.title, status=status, form=form, errors=bool(form.errors), **shown)


def carry_out(request: HttpRequest, act: Act, rows: list[Device], given: dict[str, Any]) -> None:
    """The act is done to each row that it can be done to; messages say to how many, and which were skipped and why."""
    assert isinstance(request.user, User)
    done, why, skipped = 0, Counter[str](), []
    for row in rows:
        try:
            act.carry_out(request.user, row, given, client(request), timezone.now())
            done += 1
        except Refused as refused:
            not_permitted = _("Only those who may act on administrators change it.")
            reason = not_permitted if refused.reason is Reason.NOT_PERMITTED else sentence(refused)
            why[reason] += 1
            skipped.append(row.serial or row.name)
    if done:
        said = ngettext("%(n)d device is %(done)s.", "%(n)d devices are %(done)s.", done)
        messages.success(request, said % {"n": done, "done": act.done})
    for reason, number in why.items():
        said = ngettext("%(n)d was skipped: %(why)s", "%(n)d were skipped: %(why)s", number)
        messages.warning(request, said % {"n": number, "why": reason})
    if skipped:
        rest = " …" if len(skipped) > SKIPPED_NAMED else ""
        messages.warning(request, _("Skipped: %(names)s") % {"names": ", ".join(skipped[:SKIPPED_NAMED]) + rest})
