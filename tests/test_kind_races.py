"""Whatever is answered, taken, lined up or issued once happens once, for the kinds that test_races.py does not walk."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts import temporary
from accounts.models import SignIn
from audit.events import OPERATOR
from devices.models import Device, Kind
from mfa_site.client import Client
from mfa_site.errors import Refused
from tests.conftest import Api, Person, make_person, make_token
from tests.test_races import AT_ONCE, LOSERS, ROUNDS, Crowd, only_one_won, outcomes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]

FEW = min(4, max(1, ROUNDS // 25))  # each is another kind of the same statement, which test_races.py runs a hundred times
SENT = ("sms", "email")
NEW = ("hardware_totp", "hotp", "yubiotp", "temporary", *SENT)


@pytest.fixture(autouse=True)
def _cheap_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS, settings.KINDS_OFF = ["accounts.hashers.CheapForLoadTests"], frozenset()


@pytest.mark.parametrize("kind", NEW)
def test_one_answer_in_one_sign_in(kind: str) -> None:
    with Crowd() as crowd:
        for _ in range(FEW):
            person, api = make_person(kind), Api()
            held, handle = person.held[kind], api.start(person)
            given = api.right(handle, held)
            only_one_won(crowd.post(lambda api: api.answer(handle, held.device, given)), held.device)  # noqa: B023


@pytest.mark.parametrize("kind", [kind for kind in NEW if kind not in SENT])
def test_one_answer_in_fifty_sign_ins(kind: str) -> None:
    person, api = make_person(kind), Api()
    held, handles = person.held[kind], [api.start(person) for _ in range(AT_ONCE)]
    given = api.right(handles[0], held)
    with Crowd() as crowd:
        only_one_won(crowd.post(lambda api: api.answer(handles.pop(), held.device, given)), held.device)
    assert SignIn.objects.filter(user=person.user, state="finished").count() == 1


@pytest.mark.parametrize("kind", NEW)
def test_wrong_answers_at_once_are_worth_no_more_than_a_series(kind: str) -> None:
    person, api = make_person(kind), Api()
    held, handle = person.held[kind], api.start(person)
    given = api.wrong(handle, held)
    with Crowd() as crowd:
        seen = outcomes(crowd.post(lambda api: api.answer(handle, held.device, given)))
    assert seen[401, "wrong_answer"] == 5 and set(seen) <= {(401, "wrong_answer"), (429, "too_many_attempts"), *LOSERS}, seen
    held.device.refresh_from_db()
    assert held.device.failures == 5 and held.device.paused_until is not None


def test_a_code_of_three_uses_opens_three_times() -> None:
    person, api = make_person("temporary"), Api()
    held, handles = person.held["temporary"], [api.start(person) for _ in range(AT_ONCE)]
    Device.objects.update(uses_left=3)
    with Crowd() as crowd:
        seen = outcomes(crowd.post(lambda api: api.answer(handles.pop(), held.device, held.codes[0])))
    assert seen == {(200, ""): 3, (401, "answer_used"): AT_ONCE - 3}
    held.device.refresh_from_db()
    assert (held.device.uses_left, held.device.failures) == (0, 0)


def test_codes_issued_at_once_leave_one() -> None:
    person = make_person("totp")

    def issue(_api: Api) -> str:
        try:
            return temporary.issue(person.user, "Race.", Client("", "", ""), timezone.now(), actor=OPERATOR)[1]
        except Refused:
            return ""

    with Crowd() as crowd:
        codes = [code for code in crowd.post(issue) if code]
    live = Device.objects.exclude(state="retired").get(kind=Kind.TEMPORARY)
    opened, api = 0, Api()
    for code in codes:
        Device.objects.update(failures=0, paused_until=None)
        opened += api.answer(api.start(person), live, code).status_code == 200
    assert opened == 1


def bearers(people: list[Person]) -> list[str]:
    return [Api().sign_in(person)["access_token"] for person in people]


def in_turn(tokens: list[str], body: dict[str, Any]) -> Callable[[Api], Any]:
    """Each call by another person."""
    left = list(tokens)
    return lambda _api: Api(left.pop()).post("devices", body)


def test_a_token_in_stock_is_taken_by_one_of_fifty_people() -> None:
    tokens = bearers([make_person("totp") for _ in range(AT_ONCE)])
    with Crowd() as crowd:
        for kind in ("hotp", "totp", "yubiotp"):
            held = make_token(kind)
            body = {"kind": kind, "serial": held.device.serial, "answers": held.two()}
            seen = outcomes(crowd.post(in_turn(tokens, body)))
            assert seen == {(201, ""): 1, (401, "wrong_answer"): AT_ONCE - 1}, seen
            row = Device.objects.get(pk=held.device.pk)
            assert (row.state, row.failures, row.paused_until) == ("active", 0, None) and row.user is not None


def test_a_token_in_stock_is_taken_once_as_a_first_device() -> None:
    held, people = make_token("hotp"), [make_person() for _ in range(AT_ONCE)]
    handles = [Api().start(person) for person in people]
    body = {"kind": "hotp", "serial": held.device.serial, "answers": held.two()}
    with Crowd() as crowd:
        seen = outcomes(crowd.post(lambda api: api.post("sign-ins/enrol", {**body, "sign_in": handles.pop()})))
    assert seen == {(200, ""): 1, (401, "wrong_answer"): AT_ONCE - 1}, seen
    assert SignIn.objects.filter(state="finished").count() == 1


def test_wrong_tries_by_fifty_people_are_worth_no_more_than_a_series() -> None:
    held, tokens = make_token("hotp"), bearers([make_person("totp") for _ in range(AT_ONCE)])
    body = {"kind": "hotp", "serial": held.device.serial, "answers": ["000000", "000001"]}
    with Crowd() as crowd:
        seen = outcomes(crowd.post(in_turn(tokens, body)))
    assert set(seen) <= {(401, "wrong_answer"), (429, "too_many_attempts")}, seen
    row = Device.objects.get(pk=held.device.pk)
    assert row.failures == 5 and row.paused_until is not None and row.state == "in_stock"


def test_two_codes_line_a_token_up_once() -> None:
    with Crowd() as crowd:
        for _ in range(FEW):
            person = make_person("hotp")
            held, token = person.held["hotp"], Api().sign_in(person, "hotp")["access_token"]
            path, body = f"devices/{held.device.uuid}/resync", {"answers": held.two(presses=50)}
            answers = crowd.post(lambda _api: Api(token).post(path, body))  # noqa: B023
            seen = outcomes(answers)
            assert seen[200, ""] == 1 and seen[401, "answer_used"] >= 1, seen
            assert set(seen) <= {(200, ""), (401, "answer_used"), (409, "device_not_usable")}, seen
            held.device.refresh_from_db()
            assert (held.device.counter, held.device.failures, held.device.paused_until) == (held.pressed, 0, None)


def test_a_token_that_is_removed_and_taken_at_once_has_one_owner() -> None:
    people = [make_person("totp") for _ in range(AT_ONCE)]
    owner, held, tokens = people[0], make_token("hotp"), bearers(people)
    body = {"kind": "hotp", "serial": held.device.serial}
    assert Api(tokens[0]).post("devices", {**body, "answers": held.two()}).status_code == 201
    turns: list[Callable[[], Any]] = [lambda: Api(tokens[0]).call("DELETE", f"devices/{held.device.uuid}")]
    codes = held.two()
    turns += [lambda token=token: Api(token).post("devices", {**body, "answers": codes}) for token in tokens[1:]]  # type: ignore[misc]
    with Crowd() as crowd:
        answers = crowd.post(lambda _api: turns.pop()())
    row, won = Device.objects.get(pk=held.device.pk), [answer for answer in answers if answer.status_code == 201]
    assert len(won) <= 1 and row.user != owner.user
    assert (row.state, row.user is None) == (("active", False) if won else ("in_stock", True))
