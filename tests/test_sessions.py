"""The sessions of browsers: the cookie's value is renewed in use, and nobody notices but a thief."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.utils import timezone

from accounts.models import BrowserSession
from accounts.models.browser_session import LONGEST
from accounts.sessions import next_value
from mfa_site.keyring import token_hash
from tests.conftest import Api, Person, make_person
from tests.test_faults import database_away
from tests.test_races import Crowd

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)
TIMES = ("created_at", "last_seen_at", "renewed_at", "expires_at", "auth_time", "previous_until")


def signed_in(person: Person) -> tuple[Client, BrowserSession]:
    """A browser of the person, and its session."""
    api = Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    return api.client, BrowserSession.objects.get(person=person.user, ended_at=None)


def earlier(row: BrowserSession, by: timedelta, *names: str) -> None:
    """As if what these columns tell had happened that much earlier; without names, everything."""
    row.refresh_from_db()
    moved = {name: getattr(row, name) - by for name in names or TIMES if getattr(row, name)}
    BrowserSession.objects.filter(pk=row.pk).update(**moved)


def value_of(client: Client) -> str:
    return str(client.cookies["session"].value)


def with_value(value: str) -> Client:
    """Another connection of the same browser."""
    client = Client()
    client.cookies["session"] = value
    return client


def works(value: str) -> bool:
    answer = with_value(value).get("/api/v1/me")
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def renewed(client: Client, row: BrowserSession) -> tuple[str, str]:
    """The values before and after a renewal; the new one has not been used."""
    before = value_of(client)
    earlier(row, 16 * MINUTE, "renewed_at", "previous_until")
    assert client.get("/api/v1/me").status_code == 200
    after = value_of(client)
    assert after != before
    return before, after


def test_the_value_changes_after_fifteen_minutes_of_use_and_not_before(alice: Person) -> None:
    client, row = signed_in(alice)
    first = value_of(client)
    earlier(row, 14 * MINUTE, "renewed_at")
    assert "session" not in client.get("/api/v1/me").cookies
    earlier(row, 2 * MINUTE, "renewed_at")
    answer = client.get("/account/")
    cookie = answer.cookies["session"]
    assert cookie.value != first and len(cookie.OutputString().partition(";")[0]) <= 60
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/" and not cookie["max-age"]
    row.refresh_from_db()
    assert (row.value_hash, row.previous_hash) == (token_hash(cookie.value), token_hash(first)), "only hashes are stored"
    assert "session" not in client.get("/account/").cookies


def test_the_csrf_cookie_and_a_form_on_screen_live_through_a_renewal(alice: Person) -> None:
    client, row = signed_in(alice)
    token = client.cookies["csrftoken"].value
    renewed(client, row)
    assert client.cookies["csrftoken"].value == token
    path = f"/account/devices/{alice.app.uuid}/"
    answer = client.post(path, {"csrfmiddlewaretoken": token, "action": "rename", "name": "Phone"})
    assert answer.status_code == 302


@pytest.mark.races
def test_thirty_parallel_requests_across_a_renewal_all_stay_signed_in() -> None:
    with Crowd(30) as crowd:
        for person in [make_person("totp") for _ in range(3)]:
            client, row = signed_in(person)
            old = value_of(client)
            earlier(row, 16 * MINUTE, "renewed_at")
            answers = crowd.post(lambda _api: with_value(old).get("/api/v1/me"))  # noqa: B023
            assert [answer.status_code for answer in answers] == [200] * 30
            handed = {answer.cookies["session"].value for answer in answers if "session" in answer.cookies}
            assert handed == {next_value(row.uuid, old)}, "one new value, the same for all"
            row.refresh_from_db()
            assert row.value_hash == token_hash(handed.pop())


@pytest.mark.races
def test_old_and_new_values_mixed_at_once_all_work() -> None:
    with Crowd(30) as crowd:
        client, row = signed_in(make_person("totp"))
        old, new = renewed(client, row)
        values = [old, new] * 15
        answers = crowd.post(lambda _api: with_value(values.pop()).get("/account/"))
        assert [answer.status_code for answer in answers] == [200] * 30
        earlier(row, 31 * timedelta(seconds=1), "previous_until")
        assert works(new) and not works(old)


def test_a_lost_answer_costs_nothing(alice: Person) -> None:
    client, row = signed_in(alice)
    old, new = renewed(client, row)
    for _ in range(3):
        earlier(row, 10 * MINUTE, "renewed_at")
        answer = with_value(old).get("/api/v1/me")
        assert answer.status_code == 200 and answer.cookies["session"].value == new, "handed again, the same"
    assert works(new)
    row.refresh_from_db()
    assert row.previous_until is not None
    answer = with_value(old).get("/api/v1/me")
    assert answer.status_code == 200 and "session" not in answer.cookies


def test_thirty_seconds_after_the_new_value_was_used_the_old_one_is_dead(alice: Person) -> None:
    client, row = signed_in(alice)
    old, new = renewed(client, row)
    assert works(new) and works(old)
    earlier(row, timedelta(seconds=29))
    assert works(old)
    earlier(row, timedelta(seconds=2))
    answer = with_value(old).get("/account/")
    assert answer.status_code == 302 and answer["Location"] == "/sign-in/?next=%2Faccount%2F"
    assert answer.cookies["session"].value == "" and answer.cookies["session"]["max-age"] == 0
    assert str(alice.user.uuid) not in str(answer.headers) and works(new)


def test_a_value_two_renewals_old_is_dead_at_once(alice: Person) -> None:
    client, row = signed_in(alice)
    first, second = renewed(client, row)
    assert works(second)
    _, third = renewed(client, row)
    assert not works(first) and works(second) and works(third)


def test_no_renewal_cuts_off_requests_that_are_still_on_their_way(alice: Person) -> None:
    client, row = signed_in(alice)
    old, new = renewed(client, row)
    earlier(row, 16 * MINUTE, "renewed_at")
    assert works(old) and works(new), "the new value is first used long after it was made"
    assert works(old), "that use did not renew again"


def test_only_the_first_of_two_renewals_at_once_counts_and_an_end_beats_both(alice: Person) -> None:
    client, row = signed_in(alice)
    value = token_hash(value_of(client))
    now = timezone.now()
    one, other = BrowserSession.alive(value, now), BrowserSession.alive(value, now)
    assert one and other and one.renew(token_hash("a"), now) and not other.renew(token_hash("b"), now)
    row.refresh_from_db()
    stale = BrowserSession.alive(token_hash("a"), now)
    assert stale and row.value_hash == token_hash("a")
    BrowserSession.objects.filter(pk=row.pk).update(ended_at=now)
    assert not stale.renew(token_hash("c"), now)
    row.refresh_from_db()
    assert row.value_hash == token_hash("a") and BrowserSession.alive(token_hash("a"), now) is None


@pytest.mark.races
def test_a_renewal_beside_an_end_never_brings_the_session_back() -> None:
    with Crowd(10) as crowd:
        for person in [make_person("totp") for _ in range(5)]:
            client, row = signed_in(person)
            old, token = value_of(client), client.cookies["csrftoken"].value
            earlier(row, 16 * MINUTE, "renewed_at")

            def leave(value: str = old, token: str = token) -> Any:
                browser = with_value(value)
                browser.cookies["csrftoken"] = token
                return browser.post("/sign-out/", headers={"X-CSRFToken": token})

            turns = [leave] + [lambda value=old: with_value(value).get("/api/v1/me")] * 9
            answers = crowd.post(lambda _api: turns.pop()())  # noqa: B023
            assert {answer.status_code for answer in answers} <= {200, 302, 401}
            row.refresh_from_db()
            assert row.ended_for == "signed_out" and not works(old) and not works(next_value(row.uuid, old))


@pytest.mark.parametrize("after", range(3))
def test_a_request_that_fails_leaves_the_browser_with_a_value_that_works(alice: Person, after: int) -> None:
    client, row = signed_in(alice)
    old = value_of(client)
    earlier(row, 16 * MINUTE, "renewed_at")
    with database_away(after):
        assert client.get("/account/devices/").status_code == 503
    assert value_of(client) == old and client.get("/account/").status_code == 200
    assert value_of(client) == next_value(row.uuid, old) and works(value_of(client))


@pytest.mark.parametrize(("staff", "idle"), [(False, 30), (True, 15)])
def test_idle_too_long_is_over_sooner_for_staff(staff: bool, idle: int) -> None:
    client, row = signed_in(make_person("totp", is_staff=staff))
    earlier(row, (idle - 1) * MINUTE, "last_seen_at")
    assert client.get("/api/v1/me").status_code == 200
    earlier(row, idle * MINUTE, "last_seen_at")
    answer = client.get("/api/v1/me")
    assert answer.status_code == 401 and answer.cookies["session"].value == ""


def test_renewals_do_not_move_the_end_of_twelve_hours(alice: Person) -> None:
    client, row = signed_in(alice)
    renewed(client, row)
    row.refresh_from_db()
    assert row.expires_at - row.created_at == LONGEST == timedelta(hours=12)
    earlier(row, LONGEST - MINUTE, "expires_at")
    assert client.get("/api/v1/me").status_code == 200
    earlier(row, MINUTE, "expires_at")
    assert client.get("/api/v1/me").status_code == 401


def test_a_second_sign_in_ends_the_first_and_its_values(alice: Person) -> None:
    client, row = signed_in(alice)
    old, new = renewed(client, row)
    api = Api()
    api.client = client
    api.take_csrf()
    handle = api.start(alice)
    answer = api.answer(handle, alice.app, alice.code(1), grant="session")
    assert answer.status_code == 200 and value_of(client) not in (old, new)
    assert not works(old) and not works(new) and works(value_of(client))


def test_a_dead_value_is_deleted_but_not_while_a_newer_one_may_be_on_its_way(alice: Person) -> None:
    stranger = with_value("x" * 43)
    assert stranger.get("/account/").cookies["session"].value == ""
    assert stranger.get("/livez").status_code == 200
    again = with_value("x" * 43).get("/sign-in/")
    assert "session" not in again.cookies, "the answer to a second click must not delete what the first one brought"
    client, row = signed_in(alice)
    old = value_of(client)
    client.post("/sign-in/", {"username": "alice", "password": alice.password, "csrfmiddlewaretoken": _token(client)})
    assert value_of(client) != old
    answer = with_value(old).get("/api/v1/me")
    assert answer.status_code == 401 and "session" not in answer.cookies
    earlier(row, timedelta(seconds=31), "renewed_at")
    assert with_value(old).get("/api/v1/me").cookies["session"].value == ""


def _token(client: Client) -> str:
    return str(client.cookies["csrftoken"].value)


def test_a_value_is_found_by_an_index_on_both_columns(alice: Person) -> None:
    _, row = signed_in(alice)
    found = BrowserSession.objects.filter(Q(value_hash=row.value_hash) | Q(previous_hash=row.value_hash), ended_at=None)
    if connection.vendor == "sqlite":
        assert "MULTI-INDEX OR" in found.explain()
