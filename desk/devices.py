"""The list of devices, with acts on many at once, and a device's page, with the acts that are possible now."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import words
from desk.acts import ACTS, can_be_lined_up, can_be_lost
from desk.bulk import WithActs
from desk.gate import is_higher, may
from devices.models import Device

# The pages about one device, by name -> whether there is a sense in it now.
POSSIBLE: dict[str, Callable[[Device], bool]] = {
    **{name.replace("_", "-"): act.possible for name, act in ACTS.items()},
    "report-lost": can_be_lost,
    "line-up": can_be_lined_up,
    "receipt": lambda row: row.handed_out_at is not None and row.user_id is not None,
}


class DevicePages(WithActs):
    """What the list and the page of devices have beyond Django's."""

    change_form_template = "desk/device.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        more = about(row, request.user) if isinstance(row, Device) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})


def about(row: Device, user: Any) -> dict[str, Any]:
    """What the device's page shows beside its columns: its state in words, and the acts that this administrator may do now."""
    from desk.pages import PAGES  # they link back here

    allowed = not row.is_pending and (row.user is None or not is_higher(user, row.user))
    pages = [page for page in PAGES if page.title and page.about == "devices" and may(user, page.permission)]
    acts = [page for page in pages if page.name not in POSSIBLE or POSSIBLE[page.name](row)]
    return {"state": words.state(row, timezone.now()), "acts": acts if allowed else []}
