"""Administrators at the same moment: a token goes to one person, and what is lost opens nothing, whoever signs in meanwhile."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import handing_out, out_of_use
from accounts.models import BrowserSession
from audit.events import OPERATOR
from audit.models import Event
from devices.lifecycle import State
from devices.models import Device
from grants.models import RefreshFamily
from mfa_site.client import Client
from mfa_site.errors import Refused
from tests.conftest import Api, Person, make_person, make_token
from tests.test_races import ROUNDS, Crowd, people

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]

CALLER = Client("127.0.0.1", "test", "request-1")
AT_ONCE = 20


@pytest.fixture(autouse=True)
def _cheap_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["accounts.hashers.CheapForLoadTests"]


def fresh(row: Device) -> Device:
    found: Device = Device.objects.select_related("user").get(pk=row.pk)
    return found


def tried(act: Callable[[], Any]) -> bool:
    """Whether it was done."""
    try:
        act()
    except Refused:
        return False
    return True


@pytest.mark.parametrize("with_code", [False, True])
def test_one_token_is_handed_out_once(with_code: bool) -> None:
    crowd_people = [make_person(username=f"waiting{number}") for number in range(AT_ONCE)]
    with Crowd(AT_ONCE) as crowd:
        for number in range(ROUNDS):
            held = make_token("hotp", serial=f"R{number}")
            code, turns = held.next() if with_code else "", list(crowd_people)

            def give(_api: Api, row: Device = held.device, code: str = code, turns: list[Person] = turns) -> bool:
                person = turns.pop().user
                return tried(
                    lambda: handing_out.hand_out(fresh(row), person, CALLER, timezone.now(), actor=OPERATOR, code=code)
                )

            assert sum(crowd.post(give)) == 1
            row = fresh(held.device)
            assert row.user is not None and row.failures == 0 and row.paused_until is None
            handed = Event.objects.get(act="device_handed_out", device=row.uuid)
            assert handed.person == row.user.uuid


def test_what_is_lost_opens_nothing_whoever_signs_in_meanwhile() -> None:
    with Crowd(AT_ONCE) as crowd:
        for person in people("totp"):
            code = person.code()
            handles = [Api().start(person) for _ in range(AT_ONCE - 1)]
            turns: list[str] = ["", *handles]

            def one(api: Api, person: Person = person, code: str = code, turns: list[str] = turns) -> Any:
                if handle := turns.pop(0):
                    return api.answer(handle, person.app, code).status_code
                lose = out_of_use.report
                return tried(lambda: lose(fresh(person.app), "stolen", CALLER, timezone.now(), actor=OPERATOR))

            seen = crowd.post(one)
            assert seen.count(True) >= 1 and set(seen) <= {True, 200, 401, 404, 409}, seen
            assert fresh(person.app).state == State.LOST
            assert not RefreshFamily.objects.filter(person=person.user.uuid, ended_at=None).exists()
            assert not BrowserSession.objects.filter(person=person.user, ended_at=None).exists()


def test_a_device_comes_back_once_and_is_unlocked_retired_and_resumed_once() -> None:
    with Crowd(AT_ONCE) as crowd:
        for person in people("totp"):
            soon = timezone.now() + timedelta(seconds=30)
            out_of_use.suspend(fresh(person.app), CALLER, timezone.now(), actor=OPERATOR, until=soon)
            assert sum(crowd.post(lambda _api, soon=soon: out_of_use.come_back(soon))) == 1  # type: ignore[misc]
            Device.objects.filter(pk=person.app.pk).update(failures=7)
            for act in (out_of_use.unlock, out_of_use.suspend, out_of_use.resume, out_of_use.retire):

                def do(_api: Api, act: Any = act, row: Device = person.app) -> bool:
                    return tried(lambda: act(fresh(row), CALLER, timezone.now(), actor=OPERATOR))

                assert sum(crowd.post(do)) == 1, act
