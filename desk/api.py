"""What administrators do over the API, below `/api/v1/admin/`: hand tokens out, line them up, issue temporary codes."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import handing_out, lining_up, people, rules, temporary
from accounts.api import shapes
from accounts.models import User
from desk.gate import administrator, refuse_higher
from desk.people import found
from devices.lifecycle import State
from devices.models import Device, Kind
from devices.oath import RESYNC_WINDOW_ADMINISTRATOR
from mfa_site import api
from mfa_site.client import client
from mfa_site.errors import Reason, Refused

MOST = 50  # rows of a list; whoever looks for one thing narrows the search


def somebody(uuid: UUID) -> User:
    """The person; Refused NOT_FOUND."""
    found = User.objects.filter(uuid=uuid).first()
    if found is None:
        raise Refused(Reason.NOT_FOUND)
    return found


def device(uuid: UUID) -> Device:
    """The device, whosever it is; Refused NOT_FOUND, also for an enrolment that is not confirmed."""
    found: Device | None = Device.objects.select_related("user").filter(uuid=uuid).first()
    if found is None or found.is_pending:
        raise Refused(Reason.NOT_FOUND)
    return found


def shape(row: Device) -> dict[str, Any]:
    """A device as administrators see it: with whose it is, what the seed file says, and its drift."""
    more = {
        "user": str(row.user.uuid) if row.user else None,
        "model": row.model or None,
        "valid_until": shapes.moment(row.valid_until),
        "drift": row.drift if row.kind == Kind.TOTP else None,
    }
    return shapes.device(row, timezone.now()) | more


def users(request: HttpRequest) -> HttpResponse:
    """`GET users?search=`: people by a part of their name or mail address, or by the serial of a device of theirs."""
    administrator(request, "view_people")
    wanted = asked(request, "search")["search"].strip()
    rows = found(User.objects.all(), wanted) if wanted else User.objects.all()
    return api.answer({"users": [person_shape(row) for row in rows.order_by("username_key")[:MOST]]})


def create_user(request: HttpRequest) -> HttpResponse:
    """`POST users`: a person who may enrol a first device, with a first password that is told once."""
    user = administrator(request, "create_person")
    given = api.body(request, {"username": str, "email": str, "name?": str})
    who, now = (given["username"], given["email"], given.get("name", "")), timezone.now()
    row, password = people.create(*who, client(request), now, actor=user.uuid)
    return api.answer({**person_shape(row), "enrol_until": shapes.moment(row.enrol_until), "password": password}, status=201)


def end_sessions(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`DELETE users/<uuid>/sessions`: everything that the person has open is ended."""
    user = administrator(request, "end_sessions")
    holder = somebody(uuid)
    refuse_higher(user, holder)
    people.end_sessions(holder, client(request), timezone.now(), actor=user.uuid)
    return api.empty()


def person_shape(row: User) -> dict[str, Any]:
    """A person as administrators see them."""
    about = {"name": row.name, "email": row.email, "active": row.is_active, "staff": row.is_staff}
    return {"uuid": str(row.uuid), "username": row.username, **about}


def devices(request: HttpRequest) -> HttpResponse:
    """`GET devices?serial=&state=&kind=`: what the stock and people have."""
    administrator(request, "view_people")
    given = asked(request, "serial", "state", "kind")
    if given["state"] not in ("", *State.values) or given["kind"] not in ("", *Kind.values):
        raise Refused(Reason.MALFORMED)
    which = {name: value for name, value in given.items() if value}
    if "serial" in which:
        which["serial"] = which["serial"].strip().upper()
    return listed(Device.objects.filter(**which))


def devices_of(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`GET users/<uuid>/devices`: everything that the person has or had."""
    administrator(request, "view_people")
    return listed(Device.objects.filter(user=somebody(uuid)))


def listed(found: QuerySet[Device]) -> HttpResponse:
    """The newest of these, enrolments that are not confirmed left out."""
    rows = rules.devices(found.exclude(state=State.ASSIGNED, serial="")).select_related("user").order_by("-id")
    return api.answer({"devices": [shape(row) for row in rows[:MOST]]})


def asked(request: HttpRequest, *names: str) -> dict[str, str]:
    """The query's values by name, empty where they are missing; Refused MALFORMED for others and for what is no text."""
    if set(request.GET) - set(names) or any("\0" in value or len(value) > 200 for value in request.GET.values()):
        raise Refused(Reason.MALFORMED)
    return {name: str(request.GET.get(name, "")) for name in names}


def assign(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/assign`: the token in stock is the person's."""
    user = administrator(request, "hand_out_token")
    given, row = api.body(request, {"user": str}), device(uuid)
    holder = somebody(shapes.uuid(given["user"]))
    refuse_higher(user, holder)  # or whoever reads its codes has the second factor of a superuser
    handing_out.hand_out(row, holder, client(request), timezone.now(), actor=user.uuid)
    return api.answer(shape(row))


def unassign(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/unassign`: the token is in stock again."""
    user = administrator(request, "hand_out_token")
    api.body(request, {})
    row = device(uuid)
    refuse_higher(user, row.user)
    handing_out.take_back(row, client(request), timezone.now(), actor=user.uuid)
    return api.answer(shape(row))


def resync(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST devices/<uuid>/resync`: two consecutive codes, read to the administrator, line the token up."""
    user = administrator(request, "mend_device")
    answers, row = shapes.two_codes(api.body(request, {"answers": list})), device(uuid)
    refuse_higher(user, row.user)
    window, now = RESYNC_WINDOW_ADMINISTRATOR, timezone.now()
    return api.answer(shape(lining_up.resync(row, answers, client(request), now, window=window, actor=user.uuid)))


def temporary_code(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST users/<uuid>/temporary-codes`: a code, shown once; never for oneself."""
    user = administrator(request, "issue_temporary_code")
    given, holder = api.body(request, {"reason": str, "uses?": int, "expires_in?": int}), somebody(uuid)
    refuse_higher(user, holder)
    if holder == user:  # a superuser too
        raise Refused(Reason.NOT_PERMITTED)
    life = timedelta(seconds=min(max(given.get("expires_in", temporary.LIFE.total_seconds()), 0), 10**9))
    row, code = temporary.issue(
        holder, given["reason"], client(request), timezone.now(), actor=user.uuid, uses=given.get("uses", 1), life=life
    )
    return api.answer({"code": code, "expires_at": shapes.moment(row.valid_until)}, status=201)
