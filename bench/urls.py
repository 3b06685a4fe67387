"""The service's addresses, and behind the same middleware two views that do nothing but ask for a bearer."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from mfa_site.api import resource
from mfa_site.proof import needs


@needs()
def bearer(request: HttpRequest) -> HttpResponse:
    """Who holds a valid access token is told so."""
    return JsonResponse({"ok": True})


urlpatterns = [
    path("api/v1/bench/bearer", resource(GET=bearer, POST=bearer)),
    path("", include("mfa_site.urls")),
]
handler404 = "mfa_site.faults.not_found"
