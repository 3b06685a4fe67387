"""The pages of the desk beside Django's own lists: their addresses, and the permission that each asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from desk.gate import may
from desk.pages import audit, dashboard
from mfa_site.errors import Reason, Refused
from mfa_site.proof import STEP_UP, check

View = Callable[..., HttpResponse]


@dataclass(frozen=True)
class Page:
    """One address below /admin/. `permission` is one of `desk.roles`. `fresh`: already looking at it asks for a proof of the
    last minutes, so that what is typed there is not lost. A page with a `title` is linked: from the front page, or from the
    page of the person or device that it is about: `people/<uuid:uuid>/…/`, `devices/<uuid:device>/…/`."""

    route: str
    view: View
    name: str
    permission: str
    title: Any = ""
    fresh: bool = False

    @property
    def about(self) -> str | None:
        """What the page is about: "people" or "devices", one of them; None for none."""
        return self.route.partition("/<")[0] if "<" in self.route else None

    def guarded(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The view for who has the permission; Refused NOT_PERMITTED for all others. It runs behind the site's own gate."""
        if not may(request.user, self.permission):  # type: ignore[arg-type]  # the gate let nobody else in
            raise Refused(Reason.NOT_PERMITTED)
        if self.fresh:
            check(request, **STEP_UP)
        return self.view(request, *args, **kwargs)


PAGES: tuple[Page, ...] = (
    Page("dashboard/", dashboard.dashboard, "dashboard", "view_dashboard", _("Dashboard")),
    Page("audit/", audit.audit, "audit", "view_audit", _("Audit")),
    Page("audit/export/", audit.take_out, "audit-export", "view_audit", fresh=True),
    Page("audit/mine/", audit.mine, "audit-mine", "view_people", _("What you did")),
)
