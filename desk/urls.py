"""Addresses of what administrators do over the API."""

from django.urls import path

from desk import api, api_audit
from mfa_site.api import resource

urlpatterns = [
    path("users", resource(GET=api.users)),
    path("users/<uuid:uuid>/devices", resource(GET=api.devices_of)),
    path("users/<uuid:uuid>/temporary-codes", resource(POST=api.temporary_code)),
    path("devices", resource(GET=api.devices)),
    path("devices/<uuid:uuid>/assign", resource(POST=api.assign)),
    path("devices/<uuid:uuid>/unassign", resource(POST=api.unassign)),
    path("devices/<uuid:uuid>/resync", resource(POST=api.resync)),
    path("audit-events", resource(GET=api_audit.events)),
]
