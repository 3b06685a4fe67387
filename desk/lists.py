"""What all lists of the desk have in common."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Page, Paginator
from django.db import models
from django.http import HttpRequest
from django.utils.functional import cached_property

from desk.gate import may

MOST = 5000  # rows that can be paged through; whoever looks for one of more narrows the search


class FirstRows(Paginator):  # type: ignore[type-arg]  # Django's are not generic when they run
    """Pages through the first MOST rows. They are looked for once, by their keys alone: counting them all and then looking for
    those of the page would be two scans of a large table, and sorting whole rows a slow one."""

    @cached_property
    def keys(self) -> list[Any]:
        """The keys of the rows found, in order, at most MOST."""
        asked: Any = self.object_list
        return list(asked.values_list("pk", flat=True)[:MOST])

    @cached_property
    def count(self) -> int:
        return len(self.keys)

    def page(self, number: int | str) -> Page:  # type: ignore[type-arg]
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        wanted = self.keys[start : start + self.per_page]
        asked: Any = self.object_list
        found = asked.model.objects.filter(pk__in=wanted)
        found.query.select_related = asked.query.select_related
        rows = {row.pk: row for row in found}
        return Page([rows[key] for key in wanted if key in rows], number, self)


class Rows(ChangeList):
    """A list whose rows come from its pages, also where there is one page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.paginator.page(1).object_list


class Listed(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's are not generic when they run
    """Lists that stay fast, and answer no questions about columns that they do not show. `seen_with`: the permission of
    `desk.roles` to see them; Django's own permissions for tables open nothing."""

    seen_with = "view_people"

    actions = None
    show_full_result_count = False  # counting a million rows twice would be the slowest part of the page
    list_per_page = 50
    list_max_show_all = 0
    paginator = FirstRows
    change_list_template = "desk/list.html"

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return may(request.user, self.seen_with)  # type: ignore[arg-type]  # the gate let nobody else in

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Rows

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
