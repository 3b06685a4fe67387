"""The pages of the desk beside Django's own lists: their addresses, and the permission that each asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _

from desk.gate import may
from desk.pages import approvals, imports, people
from mfa_site.api import SAFE, require_csrf
from mfa_site.errors import Reason, Refused
from mfa_site.proof import STEP_UP, check

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True)
class Page:
    """One address below /admin/. `permission` is one of `desk.roles`. `fresh`: already looking at it asks for a proof of the
    last minutes, so that what is typed there is not lost. A page with a `title` is linked: from the front page, or from the
    page of the person or device that it is about: `people/<uuid:uuid>/…/`, `devices/<uuid:device>/…/`. `uploads`: it takes a
    file, of which nothing is read before the permission is known."""

    route: str
    view: View
    name: str
    permission: str
    title: Any = ""
    fresh: bool = False
    uploads: bool = False

    @property
    def about(self) -> str | None:
        """What the page is about: "people" or "devices", one of them; None for none."""
        return self.route.partition("/<")[0] if "<" in self.route else None

    def guarded(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The view for who has the permission; Refused NOT_PERMITTED for all others. It runs behind the site's own gate."""
        if not may(request.user, self.permission):  # type: ignore[arg-type]  # the gate let nobody else in
            raise Refused(Reason.NOT_PERMITTED)
        if self.fresh:
            check(request, **STEP_UP)
        if self.uploads and request.method not in SAFE:
            require_csrf(request)
        return self.view(request, *args, **kwargs)


PAGES: tuple[Page, ...] = (
    Page("approvals/", approvals.page, "approvals", "approve", _("Approvals")),
    Page("people/create/", people.create, "create-person", "create_person", _("Create a person"), fresh=True),
    Page(
        "people/<uuid:uuid>/first-device/", people.first_device, "first-device", "create_person", _("Time for a first device")
    ),
    Page("people/<uuid:uuid>/sessions/", people.end_sessions, "end-sessions", "end_sessions", _("End sessions")),
    Page("import/", imports.upload, "import", "import_tokens", _("Import tokens"), fresh=True, uploads=True),
    Page("import/<uuid:uuid>/", imports.show, "import-batch", "import_tokens"),
    Page("import/<uuid:uuid>/cancel/", imports.cancel, "import-cancel", "import_tokens"),
    Page("import/<uuid:uuid>/undo/", imports.undo, "import-undo", "import_tokens"),
    Page("import/<uuid:uuid>/report.csv", imports.report, "import-report", "import_tokens"),
    Page("people/<uuid:uuid>/roles/", people.give_roles, "roles", "give_roles", _("Roles"), fresh=True),
)
