"""What all lists of the desk have in common."""

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from desk.gate import may


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
        shown = {getattr(one, "parameter_name", one) for one in self.list_filter}
        return lookup.removesuffix("__exact").removesuffix("__isnull") in shown


class ReadOnly(Listed):
    """To be looked at: nothing is added, changed or deleted here, whatever permissions somebody has."""

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False
