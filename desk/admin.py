"""What administrators see: everything that is security-relevant to read, and of a person what is theirs to correct.

Seeds, hashes, challenges and keys have no field anywhere.
"""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_tasks_db.models import DBTaskResult

from accounts.models import BrowserSession, Notice, SignIn, User
from accounts.models.user import NAME_LENGTH, normalised
from audit.models import Event
from desk import people
from desk.lists import ReadOnly
from devices.models import Device
from grants.models import RefreshFamily, SigningKey

__all__ = ["people"]  # registers itself

admin.site.unregister(Group)  # rights are not given here
admin.site.unregister(DBTaskResult)  # it holds nothing to read, and a form for changing it


@admin.register(Device)
class Devices(ReadOnly):
    """Every device, whoever holds it."""

    list_display = ("name", "kind", "serial", "user", "state", "last_used_at", "paused_until")
    list_filter = ("kind", "state")
    list_select_related = ("user",)
    search_fields = ("serial",)  # `get_search_results` says how
    search_help_text = _("A part of the serial, or the beginning of its owner's name")
    fields = (
        *("uuid", "user", "name", "kind", "serial", "state", "created_at", "confirmed_at", "last_used_at"),
        *("failures", "paused_until", "digits", "period", "algorithm", "drift"),
        *("model", "batch", "address", "sent", "sent_at", "valid_from", "valid_until", "uses_left", "public_id"),
        *("transports", "aaguid", "backup_eligible", "backup_state", "attestation"),
    )

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Device], search_term: str) -> tuple[Any, bool]:
        wanted = search_term.strip()
        owners = User.objects.filter(username_key__startswith=normalised(wanted[:NAME_LENGTH]))
        by_either = Q(serial__contains=wanted.upper()) | Q(user__in=owners)
        return (queryset.filter(by_either) if wanted else queryset), False


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
    """What happened, newest first."""

    seen_with = "view_audit"

    list_display = ("id", "at", "act", "reason", "person", "actor", "device")
    list_filter = ("act",)
    search_fields = ("person", "device", "request_id")
    ordering = ("-id",)
    fields = ("id", "uuid", "at", "act", "reason", "actor", "person", "device", "sid", "request_id", "about", "personal")


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
