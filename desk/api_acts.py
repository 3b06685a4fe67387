"""What administrators do with devices over the API: lost, suspended, resumed, unlocked, retired."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import out_of_use
from accounts.api import shapes
from accounts.models import User
from accounts.out_of_use import Loss
from desk.api import device, shape
from desk.gate import administrator, refuse_higher
from devices.models import Device
from mfa_site import api
from mfa_site.client import client
from mfa_site.errors import Reason, Refused


def lost(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/lost`: lost, stolen or broken, or only forgotten: then suspended until a time."""
    user, given, row = _asked(request, uuid, "report_lost", {"reason": str, "until?": str})
    loss = given["reason"]
    if loss not in Loss.values:
        raise Refused(Reason.MALFORMED, detail=f"reason is one of {', '.join(Loss.values)}.")
    until = shapes.given_moment(given["until"], "until") if "until" in given else None
    out_of_use.report(row, loss, client(request), timezone.now(), actor=user.uuid, until=until)
    return _now(row)


def suspend(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/suspend`: until a time, or until somebody resumes it."""
    user, given, row = _asked(request, uuid, "report_lost", {"until?": str})
    until = shapes.given_moment(given["until"], "until") if "until" in given else None
    out_of_use.suspend(row, client(request), timezone.now(), actor=user.uuid, until=until)
    return _now(row)


def resume(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/resume`: what was suspended or lost is in use again."""
    user, _given, row = _asked(request, uuid, "mend_device", {})
    out_of_use.resume(row, client(request), timezone.now(), actor=user.uuid)
    return _now(row)


def unlock(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/unlock`: wrong answers are forgotten."""
    user, _given, row = _asked(request, uuid, "mend_device", {})
    out_of_use.unlock(row, client(request), timezone.now(), actor=user.uuid)
    return _now(row)


def retire(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/retire`: gone for good."""
    user, _given, row = _asked(request, uuid, "retire_device", {})
    out_of_use.retire(row, client(request), timezone.now(), actor=user.uuid)
    return _now(row)


def _asked(request: HttpRequest, uuid: UUID, permission: str, fields: api.Shape) -> tuple[User, dict[str, Any], Device]:
    """Who asks, what they gave, and the device, whose holder they may act on."""
    user = administrator(request, permission)
    given, row = api.body(request, fields), device(uuid)
    refuse_higher(user, row.user)
    return user, given, row


def _now(row: Device) -> HttpResponse:
    """The device as it is now."""
    row.refresh_from_db()
    return api.answer(shape(row))
