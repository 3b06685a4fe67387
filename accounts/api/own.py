"""One's own person and devices over the API."""

import re
from typing import Any, TypeVar, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import enrolment, lining_up, own_devices, policy, recovery
from accounts.api import shapes
from accounts.api.sign_ins import begun_answer
from accounts.models import User
from accounts.own_sessions import Session
from devices.models import Device, Kind
from mfa_site import api
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import STEP_UP, RequestProof, check, needs

Listed = TypeVar("Listed", Device, Session)
PAGE = 50
PAGE_MOST = 100


def person(request: HttpRequest) -> User:
    """The signed-in person's row; Refused NOT_SIGNED_IN if a token outlived it."""
    user: Any = request.user
    if not user.is_authenticated:
        raise Refused(Reason.NOT_SIGNED_IN)
    return cast(User, user)


@needs()
def me(request: HttpRequest) -> HttpResponse:
    """`GET me`: who is signed in and what was proven."""
    return api.answer(shapes.me(person(request), check(request)))


@needs()
def devices(request: HttpRequest) -> HttpResponse:
    """`GET devices`: a page of one's devices, oldest first."""
    rows, more = page(request, own_devices.listed(person(request)))
    now = timezone.now()
    return api.answer({"devices": [shapes.device(row, now) for row in rows], "next": more})


def page(request: HttpRequest, rows: list[Listed]) -> tuple[list[Listed], str | None]:
    """The rows that `?after=<uuid>&limit=` asks for, and from where to go on, if there are more."""
    limit_text, after = request.GET.get("limit", str(PAGE)), request.GET.get("after")
    if not re.fullmatch("[1-9][0-9]{0,2}", limit_text) or int(limit_text) > PAGE_MOST:
        raise Refused(Reason.MALFORMED)
    limit = int(limit_text)
    if after is not None:
        uuids = [str(row.uuid) for row in rows]
        if after not in uuids:
            raise Refused(Reason.NOT_FOUND)
        rows = rows[uuids.index(after) + 1 :]
    return rows[:limit], str(rows[limit - 1].uuid) if len(rows) > limit else None


def may_enrol(request: HttpRequest) -> RequestProof:
    """The proof with which a device may be added; Refused STEP_UP_NEEDED where it is too old or too weak."""
    return check(request, **policy.needed_to_enrol(person(request), check(request), timezone.now()))


@needs()
def begin(request: HttpRequest) -> HttpResponse:
    """`POST devices`: an enrolment is begun; what the person must see is shown once. A set of codes is ready at once, and so is
    a hardware token that is taken from stock by two of its codes."""
    may_enrol(request)
    given = api.body(request, shapes.NEW_DEVICE)
    now = timezone.now()
    if "serial" in given:
        answers = shapes.two_codes(given)
        device = lining_up.take_by_serial(person(request), given, answers, client(request), now)
        return api.answer({"device": shapes.device(device, now), "expires_in": None}, status=201)
    if given["kind"] == Kind.RECOVERY and not given.keys() - {"kind", "name"}:
        device, codes = recovery.new_set(person(request), check(request).sid, given.get("name", ""), client(request), now)
        return api.answer({"device": shapes.device(device, now), "expires_in": None, "codes": codes}, status=201)
    kind, sid = given.pop("kind"), check(request).sid
    begun = enrolment.begin(person(request), kind, given, sid, client(request), now)
    return begun_answer(begun, now)


@needs()
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """`POST recovery-codes`: a new set in place of any other, shown once."""
    may_enrol(request)
    api.body(request, {})
    _device, codes = recovery.new_set(person(request), check(request).sid, "", client(request), timezone.now())
    return api.answer({"codes": codes}, status=201)


@needs()
def confirm(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/confirm`: a right answer makes the device active."""
    may_enrol(request)
    given = api.body(request, {"answer": (str, dict)})
    now = timezone.now()
    ceremony = enrolment.in_progress(person(request), check(request).sid, now, device__uuid=uuid)
    if ceremony is None:
        raise Refused(Reason.NOT_FOUND)
    return api.answer(shapes.device(enrolment.confirm(ceremony, given["answer"], client(request), now), now))


@needs()
def one(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`GET devices/<uuid>`."""
    return api.answer(shapes.device(own_devices.one(person(request), uuid), timezone.now()))


@needs(**STEP_UP)
def rename(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`PATCH devices/<uuid>`: the device has the new name."""
    given = api.body(request, {"name": str})
    device = own_devices.one(person(request), uuid)
    own_devices.rename(device, given["name"], client(request))
    return api.answer(shapes.device(device, timezone.now()))


@needs(**STEP_UP)
def remove(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`DELETE devices/<uuid>`: 204; the device and what it opened have ended."""
    own_devices.remove(own_devices.one(person(request), uuid), client(request), timezone.now())
    return api.empty()


@needs()
def lose(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/lost`: the device is lost, the last one too, and what it opened has ended."""
    device, now = own_devices.one(person(request), uuid), timezone.now()
    check(request, **own_devices.needed_to_lose(device, now))
    own_devices.lose(device, client(request), now)
    return api.answer(shapes.device(device, now))


@needs()
def resync(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/resync`: two consecutive codes have lined the device up; they are proof enough."""
    answers, now = shapes.two_codes(api.body(request, {"answers": list})), timezone.now()
    device = lining_up.resync(own_devices.one(person(request), uuid), answers, client(request), now)
    return api.answer(shapes.device(device, now))
