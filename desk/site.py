"""The admin site's gate: staff whose browser session stands for two factors; every change needs a fresh proof."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt

from accounts.policy import WEAK
from accounts.views import account
from accounts.views.frame import signed_in_page
from desk.gate import may
from mfa_site.api import SAFE
from mfa_site.errors import Reason, Refused
from mfa_site.proof import STEP_UP, check, proof_of


class DeskSite(AdminSite):
    """Nobody is let in by a login form of its own: `/sign-in/` is the only way, and it asks for a second factor."""

    site_title = site_header = _("Administration")
    index_title = _("People and devices")
    enable_nav_sidebar = False  # a page of ten models needs none

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether both factors were proven in this browser, by an active member of staff."""
        proof, user = proof_of(request), request.user
        strong = proof is not None and proof.by == "session" and proof.acr != WEAK
        return strong and user.is_active and user.is_staff

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """The view behind the gate: strangers sign in first, changes need a proof of the last five minutes."""

        @signed_in_page
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in SAFE:
                check(request, **STEP_UP)
            check(request)
            if not self.has_permission(request):
                raise Refused(Reason.NOT_PERMITTED)
            if "\0" in "".join(request.GET.dict().values()):
                raise Refused(Reason.MALFORMED)
            response: HttpResponse = inner(request, *args, **kwargs)
            return response

        inner: Any = super().admin_view(view, cacheable)
        return guarded

    def get_urls(self) -> list[Any]:
        """The pages of the desk, and Django's own behind them."""
        from desk.pages import PAGES  # they need the site

        return [path(page.route, self.page_view(page), name=page.name) for page in PAGES] + super().get_urls()

    def page_view(self, page: Any) -> Any:
        """The page behind the gate. The CSRF token of one that takes a file stands in the body: the page looks at it itself."""
        view = self.admin_view(csrf_exempt(page.guarded) if page.uploads else page.guarded)
        view.csrf_exempt = page.uploads
        return view

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The front page, with the desk's pages that this person may open."""
        from desk.pages import PAGES

        entries = [page for page in PAGES if page.title and page.about is None and may(request.user, page.permission)]  # type: ignore[arg-type]
        return super().index(request, {**(extra_context or {}), "entries": entries})

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """On to the desk, which sends those who are not signed in to `/sign-in/`."""
        return redirect("admin:index")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The session ends as everywhere."""
        return account.sign_out(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """There is one page for that."""
        return redirect("account")
