"""What administrators see: everything that is security-relevant to read, and of a person what is theirs to correct.

Seeds, hashes, challenges and keys have no field anywhere.
"""

import json
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django_tasks_db.models import DBTaskResult

from accounts import policy
from accounts.models import BrowserSession, Notice, PasswordReset, SignIn, User
from audit import export
from audit.events import record
from audit.models import Event
from desk.gate import is_higher, may
from devices.models import Device
from grants.models import RefreshFamily, SigningKey
from mfa_site.client import client
from mfa_site.proof import check

admin.site.unregister(Group)  # rights are not given here
admin.site.unregister(DBTaskResult)  # it holds nothing to read, and a form for changing it


class Listed(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's are not generic when they run
    """Lists that stay fast, and answer no questions about columns that they do not show. `seen_with`: the permission of
    `desk.roles` to see them; Django's own permissions for tables open nothing."""

    seen_with = "view_people"

    actions = None
    show_full_result_count = False  # counting a million rows twice would be the slowest part of the page
    list_per_page = 50

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return may(request.user, self.seen_with)  # type: ignore[arg-type]  # the gate let nobody else in

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only the filters on the page: Django's own rule lets every column be guessed letter by letter, hashes too."""
        return lookup.removesuffix("__exact").removesuffix("__isnull") in self.list_filter


class ReadOnly(Listed):
    """To be looked at: nothing is added, changed or deleted here, whatever permissions somebody has."""

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


@admin.register(User)
class People(Listed):
    """Name and address can be corrected and a person disabled; rights and passwords are not given here."""

    list_display = ("username", "name", "email", "is_active", "is_staff", "date_joined")
    list_filter = ("is_active", "is_staff")
    search_fields = ("username_key", "name", "email")
    ordering = ("username_key",)
    fields = (
        "username",
        "uuid",
        "name",
        "email",
        "is_active",
        "is_staff",
        "is_superuser",
        "date_joined",
        "enrol_until",
        "holds",
    )
    readonly_fields = ("username", "uuid", "is_staff", "is_superuser", "date_joined", "enrol_until", "holds")

    @admin.display(description=_("Devices"))
    def holds(self, person: User) -> str:
        """The person's devices, each a link to its page."""
        rows = Device.objects.filter(user=person).order_by("id")
        shown = ((reverse("admin:devices_device_change", args=[row.pk]), row.name, row.get_state_display()) for row in rows)
        return format_html_join(mark_safe("<br>"), '<a href="{}">{}</a> ({})', shown) or "-"

    def has_add_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # deleting would take the history of who held what; disabling is enough

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Of administrators, and of oneself, only who may touch them changes anything (`desk.gate`)."""
        user: Any = request.user
        return may(user, "change_person") and (obj is None or not is_higher(user, obj))

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


@admin.register(Device)
class Devices(ReadOnly):
    """Every device, whoever holds it."""

    list_display = ("name", "kind", "serial", "user", "state", "last_used_at", "paused_until")
    list_filter = ("kind", "state")
    list_select_related = ("user",)
    search_fields = ("serial", "user__username_key")
    fields = (
        *("uuid", "user", "name", "kind", "serial", "state", "created_at", "confirmed_at", "last_used_at"),
        *("failures", "paused_until", "digits", "period", "algorithm", "drift"),
        *("model", "batch", "address", "sent", "sent_at", "valid_from", "valid_until", "uses_left", "public_id"),
        *("transports", "aaguid", "backup_eligible", "backup_state", "attestation"),
    )


@admin.register(BrowserSession)
class BrowserSessions(ReadOnly):
    """Browsers that are or were signed in."""

    list_display = ("uuid", "person", "device", "address", "created_at", "last_seen_at", "expires_at", "ended_for")
    list_select_related = ("person", "device")
    search_fields = ("person__username_key",)
    ordering = ("-id",)
    fields = (
        *("uuid", "person", "device", "amr", "acr", "auth_time", "address", "user_agent"),
        *("created_at", "last_seen_at", "expires_at", "ended_at", "ended_for"),
    )


@admin.register(RefreshFamily)
class RefreshFamilies(ReadOnly):
    """Token families that are or were alive."""

    list_display = ("uuid", "person", "client_id", "scope", "created_at", "expires_at", "ended_for")
    search_fields = ("person", "uuid")
    ordering = ("-id",)
    fields = (
        *("uuid", "person", "device", "client_id", "audience", "scope", "amr", "acr", "auth_time"),
        *("address", "user_agent", "created_at", "idle_until", "expires_at", "ended_at", "ended_for"),
    )


@admin.register(SignIn)
class SignIns(ReadOnly):
    """Ceremonies of the last days."""

    list_display = ("uuid", "purpose", "state", "user", "device", "wrong", "address", "created_at")
    list_filter = ("purpose", "state")
    list_select_related = ("user", "device")
    search_fields = ("user__username_key",)
    ordering = ("-id",)
    fields = (
        *("uuid", "purpose", "state", "user", "device", "wrong", "methods"),
        *("address", "user_agent", "created_at", "expires_at"),
    )


@admin.register(Event)
class Events(ReadOnly):
    """One event; they are searched for at `audit/`."""

    seen_with = "view_audit"

    fields = ("id", "uuid", "at", "act", "reason", "actor", "person", "device", "sid", "request_id", "details", "personal")
    readonly_fields = ("details",)

    @admin.display(description=_("About"))
    def details(self, event: Event) -> str:
        """What else it says, without hashes."""
        return json.dumps(export.about(event), ensure_ascii=False, sort_keys=True)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return redirect("admin:audit")


@admin.register(Notice)
class Notices(ReadOnly):
    """What was mailed, or is due."""

    seen_with = "view_audit"

    list_display = ("act", "person", "due_at", "sent_at", "gave_up_at", "attempts")
    ordering = ("-id",)


@admin.register(SigningKey)
class SigningKeys(ReadOnly):
    """The public halves of the keys that sign access tokens."""

    seen_with = "view_audit"

    list_display = ("kid", "algorithm", "signs_from", "created_at", "retired_at")
    fields = ("kid", "algorithm", "public", "signs_from", "created_at", "retired_at")
