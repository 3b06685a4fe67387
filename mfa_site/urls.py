"""Every address of the service; the only module of the frame that looks up."""

from django.contrib import admin
from django.urls import include, path

from mfa_site import health
from mfa_site.api import resource

urlpatterns = [
    path("livez", resource(GET=health.livez)),
    path("readyz", resource(GET=health.readyz)),
    path("admin/", admin.site.urls),
    path("api/v1/admin/", include("desk.urls")),
    path("", include("accounts.urls")),
]

handler400 = "mfa_site.faults.bad_request"
handler404 = "mfa_site.faults.not_found"
handler500 = "mfa_site.faults.broken"
