"""Addresses of what administrators do over the API."""

from django.urls import path

from desk import api, api_acts, api_invitations, api_keys
from mfa_site.api import resource

urlpatterns = [
    path("users", resource(GET=api.users, POST=api.create_user)),
    path("users/<uuid:uuid>/sessions", resource(DELETE=api.end_sessions)),
    path("users/<uuid:uuid>/devices", resource(GET=api.devices_of)),
    path("users/<uuid:uuid>/invitations", resource(POST=api_invitations.invite)),
    path("users/<uuid:uuid>/temporary-codes", resource(POST=api.temporary_code)),
    path("users/<uuid:uuid>/keys", resource(POST=api_keys.begin)),
    path("users/<uuid:uuid>/keys/<uuid:device>/confirm", resource(POST=api_keys.confirm)),
    path("devices", resource(GET=api.devices)),
    path("devices/<uuid:uuid>/assign", resource(POST=api.assign)),
    path("devices/<uuid:uuid>/unassign", resource(POST=api.unassign)),
    path("devices/<uuid:uuid>/resync", resource(POST=api.resync)),
    path("devices/<uuid:uuid>/lost", resource(POST=api_acts.lost)),
    path("devices/<uuid:uuid>/suspend", resource(POST=api_acts.suspend)),
    path("devices/<uuid:uuid>/resume", resource(POST=api_acts.resume)),
    path("devices/<uuid:uuid>/unlock", resource(POST=api_acts.unlock)),
    path("devices/<uuid:uuid>/retire", resource(POST=api_acts.retire)),
]
