"""The list of people and a person's page."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import activity, own_sessions, policy, signin, words
from accounts.models import PasswordReset, SignIn, User
from accounts.models.user import NAME_LENGTH, normalised
from audit.events import record
from audit.models import Event
from desk import factors
from desk.gate import is_higher, may
from desk.lists import Listed
from devices import kinds
from devices.lifecycle import State
from devices.models import PENDING, Device, Kind, RecoveryCode
from mfa_site.client import client
from mfa_site.proof import check

EVENTS = 20
SESSIONS = 20


class Factors(admin.SimpleListFilter):
    """None, one, locked, unused for 90 days."""

    title = _("second factor")
    parameter_name = "factor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("none", _("None")), ("one", _("Only one")), ("locked", _("Locked")), ("unused", _("Unused for 90 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        now = timezone.now()
        match self.value():
            case "none":
                return queryset.filter(factors.having(0))
            case "one":
                return queryset.filter(factors.having(1))
            case "locked":
                return queryset.filter(factors.locked(now))
            case "unused":
                return queryset.filter(factors.unused(now))
        return queryset


def found(people: QuerySet[User], wanted: str) -> QuerySet[User]:
    """Those whose name or mail address has this in it, or who hold the device with this serial."""
    key = normalised(wanted[:NAME_LENGTH])
    holders = Device.objects.filter(serial=wanted.strip().upper(), user__isnull=False).values("user")
    return people.filter(
        Q(username_key__contains=key) | Q(name__icontains=wanted) | Q(email__icontains=wanted) | Q(pk__in=holders)
    )


@admin.register(User)
class People(Listed):
    """Name and address can be corrected and a person disabled; all else is done on pages of its own."""

    list_display = ("username", "name", "email", "second_factors", "is_active", "is_staff", "date_joined")
    list_filter = (Factors, "is_active", "is_staff")
    search_fields = ("username",)  # `found` says how
    search_help_text = _("Name, mail address, or the serial of a token")
    ordering = ("username_key",)
    fields = ("username", "uuid", "name", "email", "is_active", "is_staff", "is_superuser", "date_joined", "enrol_until")
    readonly_fields = ("username", "uuid", "is_staff", "is_superuser", "date_joined", "enrol_until")
    change_form_template = "desk/person.html"
    change_list_template = "desk/people.html"

    @admin.display(description=_("Second factors"))
    def second_factors(self, person: User) -> str:
        """The kinds that the person has in use, each once; `get_changelist_instance` fetched them for the whole page."""
        held = sorted({str(kinds.title(row)) for row in getattr(person, "factors", ())})
        return ", ".join(held) or str(_("none"))

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[User], search_term: str) -> tuple[Any, bool]:
        return (found(queryset, search_term.strip()) if search_term.strip() else queryset), False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with the devices of those on this page in one statement."""
        page = super().get_changelist_instance(request)
        put_factors(page.result_list)
        return page

    def has_add_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # there is a page for it

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # deleting would take the history of who held what; disabling is enough

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Of administrators, and of oneself, only who may touch them changes anything (`desk.gate`)."""
        user: Any = request.user
        return may(user, "change_person") and (obj is None or not is_higher(user, obj))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        person = self.get_object(request, object_id)
        more = about(person, request.user) if isinstance(person, User) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """The columns that were changed, and no other; who did it is in the audit.

        A disabled person is out at once, and nothing begun before goes on when they are enabled again; links that were
        mailed to an address of before are dead.
        """
        changed = [name for name in form.changed_data if name in ("name", "email", "is_active")]
        if not changed:
            return
        now = timezone.now()
        with transaction.atomic():
            obj.save(update_fields=changed)
            disabled = "is_active" in changed and not obj.is_active
            if disabled:
                policy.end_everything(obj, "disabled", now)
                SignIn.refuse_all(obj, now)
            if disabled or "email" in changed:
                PasswordReset.objects.filter(user=obj, used_at=None).update(used_at=now)
            act = "person_disabled" if disabled else "person_changed"
            record(act, client=client(request), actor=check(request).person, person=obj.uuid, changed=changed)


def put_factors(people: Iterable[User]) -> None:
    """Each person's devices that are second factors stand in `factors`, by one statement for all."""
    by_id: dict[int, list[Device]] = {person.pk: [] for person in people}
    for row in factors.factors().filter(user__in=by_id).only("id", "user_id", "kind", "serial"):
        by_id[row.user_id or 0].append(row)
    for person in people:
        person.factors = by_id[person.pk]  # type: ignore[attr-defined]  # for this page alone


def about(person: User, user: Any) -> dict[str, Any]:
    """What the person's page shows beside the form: how they stand, their devices, sessions and last events, and what this
    administrator may do."""
    now = timezone.now()
    rows = list(Device.objects.filter(user=person).exclude(PENDING).order_by("-id"))
    devices = [row for row in rows if row.state != State.RETIRED]
    shown = [{"row": row, "kind": kinds.title(row), "state": words.state(row, now)} for row in devices]
    sessions = own_sessions.listed(person, person.uuid, now)
    lines, _more = activity.of(person, most=EVENTS)
    return {
        "person": person,
        "standing": standing(person, devices, now),
        "holds": shown,
        "retired": len(rows) - len(devices),
        "sessions": sessions[:SESSIONS],
        "session_count": len(sessions),
        "lines": lines,
        "acts": [] if is_higher(user, person) else acts("people", user),
        "is_higher": is_higher(user, person),
    }


def acts(about: str, user: Any) -> list[Any]:
    """The pages about one of these that this administrator may open."""
    from desk.pages import PAGES  # they link back here

    return [page for page in PAGES if page.title and page.about == about and may(user, page.permission)]


def standing(person: User, devices: list[Device], now: datetime) -> dict[str, Any]:
    """How the person stands: devices that work and are factors of their own, those that rest or are switched off, recovery
    codes left, the last sign-in, and until when a first device may be enrolled, if it still may."""
    sets = [row for row in devices if row.kind == Kind.RECOVERY]
    signed_in = Event.objects.filter(person=person.uuid, act="signed_in").order_by("-id").values_list("at", flat=True)
    return {
        "working": [row for row in devices if row.kind in factors.OWN and row.is_usable(now)],
        "stopped": [row for row in devices if row.is_disabled or row.is_paused(now)],
        "codes": RecoveryCode.objects.filter(device__in=sets, spent_at=None).count() if sets else 0,
        "last": signed_in.first(),
        "may_enrol_until": person.enrol_until if signin.may_enrol_first(person, now) else None,
    }
