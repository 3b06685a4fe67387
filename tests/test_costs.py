"""How many statements each step costs, BEGIN and COMMIT included, and of what kind. Held here, so that none creeps in."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from accounts.models import BrowserSession
from tests.conftest import Api, Person, make_person, make_token
from tests.test_grants import refresh
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db(transaction=True)
CACHED = 1 if settings.CACHE_URL else 0  # counts are claimed and settled there


@contextmanager
def statements(most: int) -> Iterator[CaptureQueriesContext]:
    """At most this many statements run inside; no conditional UPDATE hides its condition in a subselect of itself."""
    with CaptureQueriesContext(connection) as captured:
        yield captured
    told = "\n".join(query["sql"][:160] for query in captured.captured_queries)
    assert len(captured) <= most, f"{len(captured)} statements:\n{told}"
    for query in captured.captured_queries:
        sql = query["sql"].upper()
        assert not (sql.startswith("UPDATE") and "IN (SELECT" in sql), query["sql"]


def warm(person: Person) -> None:
    """The process has its copies of the signing key and the MAC key."""
    Api().sign_in(make_person("totp"))


def commits(captured: CaptureQueriesContext) -> int:
    """Transactions, and changes that are one by themselves."""
    count, inside = 0, False
    for sql in (query["sql"].upper() for query in captured.captured_queries):
        inside = sql.startswith("BEGIN") or (inside and sql != "COMMIT")
        count += sql == "COMMIT" or (not inside and sql.startswith(("UPDATE", "INSERT", "DELETE")))
    return count


def test_sign_in_with_an_app() -> None:
    person, api = make_person("totp", enrol_until=None), Api()
    warm(person)
    with statements(9 - 2 * CACHED):
        handle = api.start(person)
    code = person.code()
    with statements(10) as captured:
        assert api.answer(handle, person.app, code).status_code == 200
    assert commits(captured) == 2, "the claim; everything that follows from a right answer"


def test_sign_in_with_a_key() -> None:
    person, api = make_person("fido2"), Api()
    warm(person)
    handle = api.start(person)
    with statements(3):
        options = api.challenge(handle, person.key)
    assertion = person.soft_key.get(options)
    with statements(13) as captured:
        assert api.answer(handle, person.key, assertion).status_code == 200
    assert commits(captured) == 2


def test_sign_in_with_a_recovery_code() -> None:
    person, api = make_person("totp", "recovery"), Api()
    warm(person)
    with statements(10 - 2 * CACHED):  # in the first seven days of an account it is asked whether it ever had a device
        handle = api.start(person)
    row = person.code_set
    with statements(15) as captured:
        assert api.answer(handle, row, person.codes[0]).status_code == 200
    assert commits(captured) == 2


@pytest.mark.parametrize(
    ("kind", "most"), [("hotp", 10), ("hardware_totp", 10), ("hardware_hotp", 10), ("yubiotp", 10), ("temporary", 12)]
)
def test_sign_in_with_what_shows_or_is_a_code(kind: str, most: int) -> None:
    person, api = make_person(kind, enrol_until=None), Api()
    warm(person)
    with statements(9 - 2 * CACHED):
        handle = api.start(person)
    held = person.held[kind]
    given = api.right(handle, held)
    with statements(most) as captured:
        assert api.answer(handle, held.device, given).status_code == 200
    assert commits(captured) == 2, "the claim; everything that follows from a right answer"


@pytest.mark.parametrize(("kind", "budgets"), [("sms", 6), ("email", 4)])
def test_sign_in_with_a_code_that_is_sent(kind: str, budgets: int, settings: Any) -> None:
    settings.KINDS_OFF = frozenset()
    person, api = make_person(kind, enrol_until=None), Api()
    warm(person)
    handle, held = api.start(person), person.held[kind]
    with statements(8 + budgets * (1 - CACHED)):
        api.ask(handle, held.device)()
    given = held.received(handle)
    with statements(12) as captured:
        assert api.answer(handle, held.device, given).status_code == 200
    assert commits(captured) == 2


def test_a_code_out_of_step_and_two_that_line_the_token_up() -> None:
    person, api = make_person("hotp"), Api()
    warm(person)
    handle, held = api.start(person), person.held["hotp"]
    with statements(8):
        assert api.answer(handle, held.device, held.next(presses=50)).status_code == 401
    codes = "".join(held.two())
    with statements(10) as captured:
        assert api.answer(handle, held.device, codes).status_code == 200
    assert commits(captured) == 2


def test_lining_up_and_claiming_a_token() -> None:
    person = make_person("hotp")
    bearer, held = Api(Api().sign_in(person, "hotp")["access_token"]), person.held["hotp"]
    body = {"answers": held.two(presses=50)}
    with statements(11) as captured:
        assert bearer.post(f"devices/{held.device.uuid}/resync", body).status_code == 200
    assert commits(captured) == 2
    token = make_token("hotp")
    claim = {"kind": "hotp", "serial": token.device.serial, "answers": token.two()}
    with statements(17) as captured:
        assert bearer.post("devices", claim).status_code == 201
    assert commits(captured) == 3 - CACHED, "the limit, the claim, and everything that follows"


def test_a_new_set_of_recovery_codes() -> None:
    person = make_person("totp", "recovery")
    bearer = Api(Api().sign_in(person)["access_token"])
    with statements(15) as captured:
        assert bearer.post("recovery-codes").status_code == 201
    assert commits(captured) == 1


def test_a_wrong_code() -> None:
    person, api = make_person("totp"), Api()
    warm(person)
    handle, wrong = api.start(person), person.wrong_code()
    with statements(8) as captured:
        assert api.answer(handle, person.app, wrong).status_code == 401
    assert commits(captured) == 2


def test_a_wrong_and_an_unknown_name_cost_the_same() -> None:
    person, api = make_person("totp"), Api()
    warm(person)
    counts = []
    for name in (person.user.username, "nobody"):
        with CaptureQueriesContext(connection) as captured:
            assert api.post("sign-ins", {"username": name, "password": "wrong"}).status_code == 401
        counts.append(len(captured))
    assert counts == [6 - CACHED, 6 - CACHED], "the person; the claim; the event's own transaction"


def test_refresh() -> None:
    person = make_person("totp")
    token = Api().sign_in(person)["refresh_token"]
    with statements(6):
        assert refresh(token).status_code == 200


@pytest.mark.parametrize(("by", "beginning", "answering"), [("session", 7, 10), ("bearer", 8, 13)])
def test_step_up(by: str, beginning: int, answering: int) -> None:
    person = make_person("totp")
    warm(person)
    api = Api() if by == "session" else Api(Api().sign_in(person)["access_token"])
    if by == "session":
        api.take_csrf()
        api.sign_in(person, grant="session")
    with statements(beginning):
        handle = api.post("step-ups").json()["sign_in"]
    code = person.code(1)
    with statements(answering) as captured:
        assert api.answer(handle, person.app, code).status_code == 200
    assert commits(captured) == 2, "as for a sign-in"


def test_trying_out_a_device() -> None:
    person = make_person("totp")
    warm(person)
    browser = Browser().sign_in(person)
    page, test = f"/account/devices/{person.app.uuid}/", f"/account/devices/{person.app.uuid}/test/"
    browser.go(page)
    csrf = {"csrfmiddlewaretoken": browser.client.cookies["csrftoken"].value}
    with statements(3):
        at = browser.client.post(test, csrf).headers["Location"]
    with statements(5):
        assert browser.client.get(at).status_code == 200
    code = person.code(1)
    with statements(12) as captured:
        assert browser.client.post(at, {**csrf, "code": code}).status_code == 302
    assert commits(captured) == 3, "as for a sign-in, and what the next page says"


def test_a_bearer_costs_no_statement_and_an_unsafe_call_one(client: Any) -> None:
    person = make_person("totp")
    bearer = Api(Api().sign_in(person)["access_token"])
    with statements(1):
        assert bearer.get("me").status_code == 200, "the person's row, which is what was asked for"
    with statements(1):
        assert bearer.call("PUT", "me", {}).status_code == 405, "family, person and device in one"


def test_a_page_with_a_session_reads_it_once() -> None:
    person, api = make_person("totp"), Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    with statements(2):
        assert api.client.get("/account/devices/add/").status_code == 200
    with statements(2):
        assert api.client.get("/account/devices/").status_code == 200
    with statements(3):
        assert api.client.get("/account/activity/").status_code == 200
    with statements(6):
        assert api.client.get("/account/").status_code == 200


def test_a_renewal_costs_one_statement_its_first_use_another_and_a_lost_answer_none() -> None:
    person, api = make_person("totp"), Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    old = api.client.cookies["session"].value
    BrowserSession.objects.update(renewed_at=F("renewed_at") - timedelta(minutes=16))
    with statements(2):
        assert api.get("me").cookies["session"].value != old
    new = api.client.cookies["session"].value
    api.client.cookies["session"] = old
    with statements(1):
        assert api.get("me").cookies["session"].value == new
    with statements(2):
        assert api.get("me").status_code == 200
    with statements(1):
        assert api.get("me").status_code == 200


def test_listing_and_ending_sessions() -> None:
    person = make_person("fido2")
    for _ in range(3):
        Api().sign_in(person)
    api = Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    with statements(4):
        sids = [row["uuid"] for row in api.get("sessions").json()["sessions"]]
    assert len(sids) == 4
    with statements(7):
        assert api.call("DELETE", f"sessions/{sids[0]}").status_code == 204
    with statements(7):
        assert api.call("DELETE", "sessions").status_code == 204


def test_a_dead_cookie_costs_two_statements() -> None:
    api = Api()
    api.client.cookies["session"] = "x" * 43
    with statements(2):
        assert api.get("me").status_code == 401


def test_enrolling_and_removing() -> None:
    person = make_person("totp")
    bearer = Api(Api().sign_in(person)["access_token"])
    with statements(14):
        shown = bearer.post("devices", {"kind": "totp"}).json()
    from devices.kinds import totp
    from devices.models import Device

    row = Device.objects.get(uuid=shown["device"]["uuid"])
    with statements(23):
        body = {"answer": totp.code_now(row, row.created_at)}
        assert bearer.post(f"devices/{row.uuid}/confirm", body).status_code == 200
    with statements(13):
        assert bearer.call("DELETE", f"devices/{row.uuid}").status_code == 204
