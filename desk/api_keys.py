"""Enrolling a security key for somebody over the API: `enrol_key` at the desk is one client of it."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts.api.sign_ins import begun_answer
from desk import keys
from desk.api import shape
from desk.gate import administrator
from mfa_site import api


def begin(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST users/<uuid>/keys`: registration options for the person's key."""
    user = administrator(request, "enrol_key")
    given = api.body(request, {"name?": str})
    return begun_answer(keys.begin(request, user, keys.holder(user, uuid), given), timezone.now())


def confirm(request: HttpRequest, uuid: UUID, device: UUID) -> HttpResponse:
    """`POST users/<uuid>/keys/<device>/confirm`: the registration makes it active; only who began it can confirm."""
    user = administrator(request, "enrol_key")
    given = api.body(request, {"answer": dict})
    row = keys.confirm(request, user, keys.holder(user, uuid), given["answer"], device__uuid=device)
    return api.answer(shape(row))
