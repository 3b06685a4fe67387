"""What may happen once happens once: fifty posts at the same moment, a hundred rounds, exactly one winner, nobody paused.

The same on SQLite and PostgreSQL. Each round is another person, so that no earlier round answers for it.
"""

import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import demo
from accounts.models import BrowserSession, SignIn, User
from devices.kinds import Proof, totp
from devices.kinds.recovery import are_of
from devices.models import Device, Kind, RecoveryCode, forget_pending
from grants import refresh
from grants.models import RefreshFamily, RefreshToken
from tests.conftest import Api, Person, code_of, make_person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]

ROUNDS = int(os.environ.get("RACE_ROUNDS", "10"))
AT_ONCE = 50


class Crowd:
    """Threads that start together, each with a client and a database connection of its own."""

    def __init__(self, size: int = AT_ONCE) -> None:
        self.size, self.pool = size, ThreadPoolExecutor(size)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *error: object) -> None:
        done = threading.Barrier(self.size)

        def close() -> None:
            done.wait()
            connection.close()

        for _ in range(self.size):
            self.pool.submit(close)
        self.pool.shutdown()

    def post(self, call: Callable[[Api], Any]) -> list[Any]:
        """What the calls answered."""
        ready = threading.Barrier(self.size)

        def one() -> Any:
            api = Api()
            ready.wait()
            try:
                return call(api)
            finally:
                connection.close_if_unusable_or_obsolete()  # as a server does after each request

        return [future.result() for future in [self.pool.submit(one) for _ in range(self.size)]]


def outcomes(answers: list[Any]) -> Counter[tuple[int, str]]:
    """How often each status and code came."""
    return Counter((answer.status_code, "") if answer.status_code < 400 else code_of(answer) for answer in answers)


LOSERS = {(401, "answer_used"), (409, "no_challenge"), (401, "sign_in_over")}


def only_one_won(answers: list[Any], device: Device) -> None:
    """One 200; the others lost for the right reasons, and the device is not worse off."""
    seen = outcomes(answers)
    assert seen[(200, "")] == 1, seen
    assert set(seen) - {(200, "")} <= LOSERS, seen
    device.refresh_from_db()
    assert device.failures == 0 and device.paused_until is None


def people(*kinds: str) -> list[Person]:
    """One person a round; their passwords are not part of the race, so nobody pays for hashing them."""
    return [make_person(*kinds, username=f"runner{number}") for number in range(ROUNDS)]


@pytest.fixture(autouse=True)
def _cheap_passwords(settings: Any) -> None:
    """Argon2 is what `test_signin_api` pays for; a hundred people here need not."""
    settings.PASSWORD_HASHERS = ["accounts.hashers.CheapForLoadTests"]


def test_one_code_in_one_sign_in() -> None:
    with Crowd() as crowd:
        for person in people("totp"):
            handle, code = Api().start(person), person.code()
            only_one_won(crowd.post(lambda api: api.answer(handle, person.app, code)), person.app)  # noqa: B023


def test_one_code_in_fifty_sign_ins() -> None:
    with Crowd() as crowd:
        for person in people("totp")[: max(10, ROUNDS // 2)]:
            handles, code = [Api().start(person) for _ in range(AT_ONCE)], person.code()
            answers = crowd.post(lambda api: api.answer(handles.pop(), person.app, code))  # noqa: B023
            only_one_won(answers, person.app)
            assert SignIn.objects.filter(user=person.user, state="finished").count() == 1


def test_one_sign_in_answered_by_two_devices() -> None:
    with Crowd() as crowd:
        for person in people("totp", "fido2")[: max(1, ROUNDS // 10)]:
            handle, code = Api().start(person), person.code()
            assertion = person.soft_key.get(Api().challenge(handle, person.key))
            answers = [(person.app, code), (person.key, assertion)] * (AT_ONCE // 2)
            seen = outcomes(crowd.post(lambda api: api.answer(handle, *answers.pop())))  # noqa: B023
            assert seen[(200, "")] == 1, seen
            assert RefreshToken.objects.filter(family__person=person.user.uuid).count() == 1
            assert not Device.objects.exclude(failures=0).filter(user=person.user).exists()


def test_one_assertion() -> None:
    with Crowd() as crowd:
        for person in people("fido2"):
            handle = Api().start(person)
            assertion = person.soft_key.get(Api().challenge(handle, person.key))
            only_one_won(crowd.post(lambda api: api.answer(handle, person.key, assertion)), person.key)  # noqa: B023


def test_one_assertion_of_a_key_that_does_not_count() -> None:
    with Crowd() as crowd:
        for person in people("fido2")[: max(1, ROUNDS // 10)]:
            person.soft_key.counts = False
            handle = Api().start(person)
            assertion = person.soft_key.get(Api().challenge(handle, person.key))
            only_one_won(crowd.post(lambda api: api.answer(handle, person.key, assertion)), person.key)  # noqa: B023


def test_one_recovery_code() -> None:
    with Crowd() as crowd:
        for person in people("totp", "recovery")[: max(3, ROUNDS // 2)]:
            row, handles = person.code_set, [Api().start(person) for _ in range(AT_ONCE)]
            only_one_won(crowd.post(lambda api: api.answer(handles.pop(), row, person.codes[4])), row)  # noqa: B023
            assert RecoveryCode.objects.filter(device=row, spent_at=None).count() == 9


def test_ten_recovery_codes_at_once_are_ten_right_answers() -> None:
    with Crowd() as crowd:
        for person in people("totp", "recovery")[: max(3, ROUNDS // 10)]:
            row, handles = person.code_set, [Api().start(person) for _ in range(AT_ONCE)]
            codes = person.codes * (AT_ONCE // 10)
            seen = outcomes(crowd.post(lambda api: api.answer(handles.pop(), row, codes.pop())))  # noqa: B023
            assert seen == {(200, ""): 10, (401, "answer_used"): AT_ONCE - 10}, seen
            row.refresh_from_db()
            assert row.failures == 0 and row.paused_until is None


def test_sets_made_at_once_leave_one_whose_codes_were_shown() -> None:
    with Crowd() as crowd:
        for person in people("totp", "recovery")[: max(3, ROUNDS // 10)]:
            token = Api().sign_in(person)["access_token"]
            answers = crowd.post(lambda api: Api(token).post("recovery-codes"))  # noqa: B023
            made = [answer.json()["codes"] for answer in answers if answer.status_code == 201]
            assert made and set(outcomes(answers)) <= {(201, ""), (409, "wrong_state")}
            live = Device.objects.filter(user=person.user, kind=Kind.RECOVERY, state="active").get()
            alive = [codes for codes in made if are_of(live, codes)]
            assert len(alive) == 1
            assert Api().answer(Api().start(person), live, alive[0][0]).status_code == 200


def test_using_and_replacing_codes_at_once_never_deadlocks() -> None:
    with Crowd() as crowd:
        for person in people("totp", "recovery")[: max(3, ROUNDS // 10)]:
            row, codes, token = person.code_set, list(person.codes), Api().sign_in(person)["access_token"]
            handles = [Api().start(person) for _ in range(AT_ONCE)]
            turns: list[Any] = [
                lambda api: api.answer(handles.pop(), row, codes[0]),  # noqa: B023
                lambda api: api.answer(handles.pop(), row, codes[1]),  # noqa: B023
                lambda _api: Api(token).post("recovery-codes"),  # noqa: B023
                lambda _api: Api(token).call("DELETE", f"devices/{row.uuid}"),  # noqa: B023
            ] * AT_ONCE
            answers = crowd.post(lambda api: turns.pop()(api))  # noqa: B023
            assert {answer.status_code for answer in answers} <= {200, 201, 204, 401, 404, 409}
            assert Device.objects.filter(user=person.user, kind=Kind.RECOVERY).exclude(state="retired").count() <= 1


def test_one_refresh_token() -> None:
    with Crowd() as crowd:
        for person in people("totp"):
            token = Api().sign_in(person)["refresh_token"]
            fields = {"grant_type": "refresh_token", "refresh_token": token}
            answers = crowd.post(lambda api: api.client.post("/oauth2/token", _form(fields), FORM))  # noqa: B023
            seen = Counter(answer.json().get("error", "") for answer in answers)
            assert seen == {"": 1, "invalid_grant": AT_ONCE - 1}
            assert RefreshToken.objects.filter(family__person=person.user.uuid).count() == 2
            person.app.refresh_from_db()
            assert person.app.failures == 0 and person.app.paused_until is None


FORM = "application/x-www-form-urlencoded"


def _form(fields: dict[str, str]) -> str:
    from urllib.parse import urlencode

    return urlencode(fields)


def test_wrong_codes_at_once_are_all_counted_or_refused() -> None:
    person = make_person("totp")
    with Crowd() as crowd:
        handles, wrong = [Api().start(person) for _ in range(AT_ONCE)], person.wrong_code()
        seen = outcomes(crowd.post(lambda api: api.answer(handles.pop(), person.app, wrong)))
    person.app.refresh_from_db()
    assert seen == {(401, "wrong_answer"): 5, (429, "too_many_attempts"): AT_ONCE - 5}, "a burst is worth no more than a series"
    assert person.app.failures == 5
    assert person.app.paused_until is not None and person.app.paused_until > timezone.now()


def test_wrong_codes_from_everywhere_are_all_counted_or_refused() -> None:
    """Two hundred guesses, each through a sign-in of its own, from another address and under another spelling of the name."""
    person = make_person("totp", username="alice")
    wrong, numbers, spellings = person.wrong_code(), itertools.count(), ["alice", "ALICE", "Alice", "\uff41lice"]

    def guess(api: Api) -> Any:
        number = next(numbers)
        elsewhere = {"REMOTE_ADDR": f"10.2.{number}.1"}
        body = {"username": spellings[number % 4], "password": person.password}
        started = api.post("sign-ins", body, **elsewhere)
        assert started.status_code == 201, started.content
        given = {"sign_in": started.json()["sign_in"], "device": str(person.app.uuid), "answer": wrong}
        return api.post("sign-ins/answer", given, **elsewhere)

    seen: Counter[tuple[int, str]] = Counter()
    with Crowd() as crowd:
        for _ in range(4):
            seen += outcomes(crowd.post(guess))
    person.app.refresh_from_db()
    assert seen == {(401, "wrong_answer"): 5, (429, "too_many_attempts"): 4 * AT_ONCE - 5}
    assert person.app.failures == 5
    assert person.app.paused_until is not None and person.app.paused_until > timezone.now()


def step_ups(person: Person, bearer: str, how_many: int) -> list[str]:
    """Handles of as many step-ups of this bearer."""
    return [Api(bearer).post("step-ups").json()["sign_in"] for _ in range(how_many)]


def test_one_code_in_one_step_up_and_in_fifty() -> None:
    with Crowd() as crowd:
        for number, person in enumerate(people("totp")):
            bearer = Api().sign_in(person)["access_token"]
            handles = step_ups(person, bearer, AT_ONCE if number % 2 else 1)
            given, code = handles * (AT_ONCE // len(handles)), person.code(1)
            answers = crowd.post(lambda api: Api(bearer).answer(given.pop(), person.app, code))  # noqa: B023
            only_one_won(answers, person.app)
            assert SignIn.objects.filter(user=person.user, purpose="step_up", state="finished").count() == 1
            tokens = RefreshToken.objects.filter(family__person=person.user.uuid)
            assert (tokens.count(), tokens.filter(spent_at=None).count()) == (2, 1)


def test_one_code_in_one_step_up_of_a_session() -> None:
    with Crowd() as crowd:
        for person in people("totp")[: max(3, ROUNDS // 10)]:
            browser = Api()
            browser.take_csrf()
            browser.sign_in(person, grant="session")
            handle, code = browser.post("step-ups").json()["sign_in"], person.code(1)
            cookies = {name: morsel.value for name, morsel in browser.client.cookies.items()}

            def answer(api: Api) -> Any:
                api.client.cookies.load(cookies)  # noqa: B023
                api.csrf = browser.csrf  # noqa: B023
                return api.answer(handle, person.app, code)  # noqa: B023

            answers = crowd.post(answer)
            # Those that come after the winner come with a cookie that is dead, and are strangers.
            only_one_won(answers, person.app)
            assert BrowserSession.objects.filter(person=person.user, ended_at=None).count() == 1


def test_a_step_up_beside_refreshes_leaves_one_living_token() -> None:
    """Both lock the family before its tokens: another order would deadlock, or leave two tokens alive."""
    with Crowd() as crowd:
        for person in people("totp"):
            token = Api().sign_in(person)["refresh_token"]
            sid = RefreshFamily.objects.get(person=person.user.uuid).uuid
            now, calls = timezone.now(), ["rotate", *["step up"] * 4] * (AT_ONCE // 5)

            def one(_api: Api) -> bool:
                if calls.pop() == "rotate":  # noqa: B023
                    with suppress(refresh.Reused):
                        return refresh.rotate(token, "mfa-site", Q(), now) is not None  # noqa: B023
                    return False
                with transaction.atomic():
                    pair = refresh.step_up(sid, device=person.app.uuid, amr=["pwd"], acr="aal2", now=now)  # noqa: B023
                return pair is not None

            assert any(crowd.post(one))
            assert RefreshToken.objects.filter(family__person=person.user.uuid, spent_at=None).count() == 1


def test_wrong_codes_through_new_step_ups_are_all_counted_or_refused() -> None:
    """Two hundred guesses, each through a step-up of its own, are worth what a series is worth."""
    person = make_person("totp")
    bearer, wrong = Api().sign_in(person)["access_token"], person.wrong_code()
    seen: Counter[tuple[int, str]] = Counter()
    with Crowd() as crowd:
        for _ in range(4):
            seen += outcomes(crowd.post(lambda _api: Api(bearer).answer(step_ups(person, bearer, 1)[0], person.app, wrong)))
    person.app.refresh_from_db()
    assert seen == {(401, "wrong_answer"): 5, (429, "too_many_attempts"): 4 * AT_ONCE - 5}
    assert person.app.failures == 5
    assert person.app.paused_until is not None and person.app.paused_until > timezone.now()


def test_one_enrolment_is_confirmed_once() -> None:
    with Crowd() as crowd:
        for person in people()[: max(1, ROUNDS // 10)]:
            handle = Api().start(person)
            begun = Api().post("sign-ins/enrol", {"sign_in": handle, "kind": "totp"}).json()
            row = Device.objects.get(uuid=begun["device"]["uuid"])
            body = {"sign_in": handle, "device": str(row.uuid), "answer": totp.code_now(row, timezone.now())}
            seen = outcomes(crowd.post(lambda api: api.post("sign-ins/enrol/confirm", body)))  # noqa: B023
            assert seen[(200, "")] == 1, seen
            assert all(status in (401, 404, 409) for status, _ in set(seen) - {(200, "")}), seen


def test_confirming_and_beginning_anew_at_once_never_deadlocks() -> None:
    with Crowd() as crowd:
        for person in people()[: max(3, ROUNDS // 10)]:
            handle = Api().start(person)
            begun = Api().post("sign-ins/enrol", {"sign_in": handle, "kind": "totp"}).json()["device"]["uuid"]
            code = totp.code_now(Device.objects.get(uuid=begun), timezone.now())
            calls = [
                ("sign-ins/enrol/confirm", {"sign_in": handle, "device": begun, "answer": code}),
                ("sign-ins/enrol", {"sign_in": handle, "kind": "fido2"}),
                ("sign-ins/cancel", {"sign_in": handle}),
            ] * AT_ONCE
            answers = crowd.post(lambda api: api.post(*calls.pop()))  # noqa: B023
            assert {answer.status_code for answer in answers} <= {200, 201, 204, 401, 404, 409}
            signed_in = [answer for answer in answers if answer.status_code == 200]
            cancelled = [answer for answer in answers if answer.status_code == 204]
            assert len(signed_in) + len(cancelled) <= 1
            assert Device.objects.filter(user=person.user, state="active").count() == len(signed_in)


def test_right_and_wrong_answers_at_once_never_deadlock() -> None:
    with Crowd() as crowd:
        for person in people("totp")[: max(3, ROUNDS // 10)]:
            Device.objects.filter(pk=person.app.pk).update(failures=4)
            handle = Api().start(person)
            codes = [person.code(), person.wrong_code(), person.wrong_code()] * AT_ONCE
            seen = outcomes(crowd.post(lambda api: api.answer(handle, person.app, codes.pop())))  # noqa: B023
            assert seen[(200, "")] <= 1
            assert set(seen) <= {(200, ""), (401, "wrong_answer"), (429, "too_many_attempts"), *LOSERS}, seen


def test_the_cap_on_waiting_enrolments_holds_in_a_crowd() -> None:
    person = make_person("totp")
    token = Api().sign_in(person)["access_token"]
    with Crowd() as crowd:
        answers = crowd.post(lambda api: Api(token).post("devices", {"kind": "totp"}))
    assert Counter(answer.status_code for answer in answers) == {201: 5, 429: AT_ONCE - 5}


def test_a_device_confirmed_while_stale_ones_are_swept_stays() -> None:
    """Django's delete selects first and deletes by key; the rows are locked between, and looked at again."""
    old = timezone.now() - timedelta(minutes=11)
    with Crowd() as crowd:
        for person in people()[: max(3, ROUNDS // 10)]:
            row = Device(user=person.user, kind="totp", name="App", created_at=old)
            row.seed = b"x" * 20
            row.save()
            sweep = Q(user=person.user, created_at__lt=timezone.now() - timedelta(minutes=10))
            turns: list[Any] = [
                lambda: forget_pending(sweep),  # noqa: B023
                lambda: row.activate(Proof(counter=7), "App", timezone.now()),  # noqa: B023
            ] * AT_ONCE
            confirmed = crowd.post(lambda _api: turns.pop()())  # noqa: B023
            assert Device.objects.filter(pk=row.pk, state="active").count() == confirmed.count(True) <= 1


def test_the_last_two_devices_are_not_removed_at_once() -> None:
    from accounts import own_devices
    from mfa_site.client import Client
    from mfa_site.errors import Refused

    caller = Client("127.0.0.1", "", "x" * 8)
    with Crowd() as crowd:
        for person in people("totp", "fido2")[: max(1, ROUNDS // 10)]:
            rows = [person.app, person.key] * (AT_ONCE // 2)

            def remove(_api: Api, rows: list[Device] = rows) -> bool:
                try:
                    own_devices.remove(Device.objects.get(pk=rows.pop().pk), caller, timezone.now())
                except Refused:
                    return False
                return True

            assert sum(crowd.post(remove)) == 1
            assert Device.objects.filter(user=person.user, state="active").count() == 1


def test_bulk_people_are_as_real_as_others(settings: Any) -> None:
    person = next(iter(demo.seed_many(1, cheap=True, now=timezone.now())))
    settings.DEMO = True
    assert User.objects.get().check_password(demo.LOAD_PASSWORD)
    assert {row.kind for row, _clear in person.devices} == {Kind.TOTP, Kind.FIDO2}
