"""Addresses of what administrators do over the API."""

from django.urls import path

from desk import api
from mfa_site.api import resource

urlpatterns = [
    path("users", resource(GET=api.users, POST=api.create_user)),
    path("users/<uuid:uuid>/sessions", resource(DELETE=api.end_sessions)),
    path("users/<uuid:uuid>/devices", resource(GET=api.devices_of)),
    path("users/<uuid:uuid>/temporary-codes", resource(POST=api.temporary_code)),
    path("devices", resource(GET=api.devices)),
    path("devices/<uuid:uuid>/assign", resource(POST=api.assign)),
    path("devices/<uuid:uuid>/unassign", resource(POST=api.unassign)),
    path("devices/<uuid:uuid>/resync", resource(POST=api.resync)),
]
