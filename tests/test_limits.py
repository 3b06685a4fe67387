"""Password limits: the numbers, bursts, known browsers, and a store that goes away."""

import logging
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections import Counter as Counted
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import prune
from audit.models import Event
from mfa_site import counters, limits
from mfa_site.client import Client as Caller
from mfa_site.counters import Busy, Claim, Limit, Settled
from mfa_site.errors import Reason, Refused
from mfa_site.models import Counter
from tests.cluster import free_port
from tests.conftest import Api, Person, code_of, make_person
from tests.test_races import AT_ONCE, Crowd

pytestmark = pytest.mark.django_db(transaction=True)

NOW = 1_800_000_000_000


def claimed(*wanted: Limit, now: int = NOW) -> list[int] | Busy:
    told = counters.store().claim(wanted, now)
    return told if isinstance(told, Busy) else [claim.number for claim in told]


def test_a_name_that_is_somebodys_uuid_counts_for_nobody_else(api: Api, alice: Person) -> None:
    for _ in range(6):
        api.post("sign-ins", {"username": str(alice.user.uuid), "password": "wrong"})
    assert api.post("sign-ins", {"username": "alice", "password": alice.password}).status_code == 201


def test_claims_are_counted_until_their_end_all_or_none() -> None:
    one, two = Limit("b", 10, 1000), Limit("a", 2, 5000)
    assert claimed(one) == [1]
    assert claimed(one, two) == [2, 1]
    assert claimed(one, two) == [3, 2], "the second of two holds"
    assert claimed(one, two) == Busy(0), "and nobody is counted meanwhile"
    assert claimed(one) == [4]
    assert claimed(one, two, now=NOW + 1000) == Busy(0)
    assert claimed(one, now=NOW + 1000) == [1], "begun anew"
    assert claimed(two, now=NOW + counters.HOLD) == [3], "a hold is over by itself"


def test_what_is_settled_is_given_back_or_blocked() -> None:
    limit, store = Limit("a", 3, 60_000), counters.store()
    assert [claimed(limit) for _ in range(3)] == [[1], [2], [3]]
    store.settle([Settled("a", 1)], NOW)
    assert claimed(limit) == [3]
    store.settle([Settled("a", 0, NOW + 9000)], NOW)
    assert claimed(limit) == Busy(NOW + 9000)
    assert claimed(limit, now=NOW + 9000) == [4]
    store.settle([Settled("a", counters.ALL)], NOW)
    assert claimed(limit) == [1]
    store.settle([Settled("a", 0, NOW + 9000), Settled("unheard", 1)], NOW)
    assert claimed(limit) == [2], "a block for a count that was cleared meanwhile"
    assert claimed(Limit("unheard", 3, 9)) == [1]


def test_a_claim_that_comes_between_is_taken_back() -> None:
    free, held = Limit("a", 9, 60_000), Limit("b", 1, 60_000)
    store = counters.store()
    assert isinstance(store.claim([held], NOW), list)
    for _ in range(3):
        assert store.claim([free, held], NOW) == Busy(0)
    assert store.claim([free], NOW) == [Claim(free, 1, NOW + 60_000)]


def test_old_rows_go() -> None:
    store = counters.Database()
    for number in range(prune.BATCH + 2):
        store.claim([Limit(f"old{number}", 9, 1000)], NOW)
    store.claim([Limit("new", 9, 3000)], NOW)
    now = datetime.fromtimestamp(NOW / 1000 + 2, tz=timezone.get_current_timezone())
    assert [prune.one_batch(counters.over(now)) for _ in range(3)] == [prune.BATCH, 2, 0]
    assert list(Counter.objects.values_list("key", flat=True)) == ["new"]


def test_anything_may_be_limited() -> None:
    now = timezone.now()
    for _ in range(3):
        limits.hit("letters", "somebody", 3, timedelta(hours=1), now)
    limits.hit("letters", "somebody else", 3, timedelta(hours=1), now)
    for _ in range(2):
        with pytest.raises(Refused) as told:
            limits.hit("letters", "somebody", 3, timedelta(hours=1), now + timedelta(minutes=50))
        assert told.value.reason is Reason.TOO_MANY_ATTEMPTS
        assert told.value.retry_after == 600
    limits.hit("letters", "somebody", 3, timedelta(hours=1), now + timedelta(hours=1))


@pytest.mark.parametrize(("number", "seconds"), [(1, 0), (4, 0), (5, 30), (6, 60), (7, 120), (9, 480), (10, 900), (500, 900)])
def test_delays_double_up_to_a_quarter_of_an_hour(number: int, seconds: int) -> None:
    assert limits.delay(number) == seconds * 1000


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert Caller(address, "", "").network == network


def guess(name: str, password: str = "wrong", api: Api | None = None, **extra: Any) -> Any:
    return (api or Api()).post("sign-ins", {"username": name, "password": password}, **extra)


def guesses(number: int, name: str, **extra: Any) -> list[int]:
    return [guess(name, **extra).status_code for _ in range(number)]


@contextmanager
def later(seconds: float) -> Iterator[None]:
    """Inside it is so much later."""
    real = timezone.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: real() + timedelta(seconds=seconds))
        yield


@pytest.fixture(autouse=True)
def _cheap_passwords(settings: Any) -> None:
    """Argon2 is what `test_signin_api` pays for; a thousand guesses here need not."""
    settings.PASSWORD_HASHERS = ["accounts.hashers.CheapForLoadTests"]


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_the_fifth_wrong_password_delays_this_network_alone(alice: Person, name: str) -> None:
    assert guesses(5, name) == [401] * 5
    refused = guess(name, alice.password)
    assert code_of(refused) == (429, "too_many_attempts")
    assert 28 <= int(refused["Retry-After"]) <= 30
    assert guess(name, REMOTE_ADDR="192.0.2.7").status_code == 401
    assert guess("bob").status_code == 401, "another name from here"
    with later(31):
        assert guesses(2, name) == [401, 429]
        assert 58 <= int(guess(name)["Retry-After"]) <= 60, "doubled"


def test_a_right_password_ends_the_row_and_gives_its_own_claims_back(alice: Person) -> None:
    for _ in range(14):
        assert [*guesses(4, "alice"), guess("alice", alice.password).status_code] == [401] * 4 + [201]
    assert guesses(4, "alice") == [401] * 4, "57 to 60 of this network: the right ones count nothing"
    assert guess("nobody").status_code == 429


def test_a_hundred_an_hour_for_one_account_from_everywhere(alice: Person) -> None:
    for number in range(100):
        assert guess("alice", REMOTE_ADDR=f"2001:db8:0:{number:x}::1").status_code == 401
    refused = guess("alice", alice.password, REMOTE_ADDR="192.0.2.8")
    assert refused.status_code == 429
    assert 3500 <= int(refused["Retry-After"]) <= 3600
    with later(3600):
        assert guess("alice", alice.password, REMOTE_ADDR="192.0.2.8").status_code == 201


def test_sixty_wrong_ones_of_any_account_in_ten_minutes_from_one_network(alice: Person) -> None:
    for number in range(60):
        assert guess(f"name{number}", REMOTE_ADDR=f"2001:db8::{number:x}").status_code == 401
    assert guess("alice", alice.password, REMOTE_ADDR="2001:db8::ffff").status_code == 429
    assert guess("alice", alice.password, REMOTE_ADDR="2001:db8:0:1::1").status_code == 201, "the next /64"
    with later(600):
        assert guess("alice", alice.password, REMOTE_ADDR="2001:db8::ffff").status_code == 201


def test_other_spellings_of_a_name_share_one_count(alice: Person) -> None:
    for spelling in (str, str.upper, str.title, str.swapcase, lambda name: "".join(chr(ord(c) + 0xFEE0) for c in name)):
        known, unknown = spelling("alice"), spelling("nobody")
        assert [guess(known).status_code, guess(unknown).status_code] == [401, 401]
    assert [guess("alice").status_code, guess("nobody").status_code] == [429, 429]


def known_browser(person: Person) -> Api:
    """A browser in which the person has signed in before, and signed out."""
    api = Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    assert api.client.cookies["known"]["httponly"]
    del api.client.cookies["session"]
    return api


def test_a_thousand_wrong_passwords_leave_the_owners_known_browser_able_to_sign_in(alice: Person) -> None:
    browser = known_browser(alice)
    seen = [guess("alice", REMOTE_ADDR=f"10.0.{number // 8}.1").status_code for number in range(1000)]
    assert seen.count(401) == 100
    assert seen.count(429) == 900
    assert guess("alice", alice.password).status_code == 429
    assert guess("alice", alice.password, browser).status_code == 201


def test_a_known_browser_counts_on_its_own_and_for_its_person_alone(alice: Person, mallory: Person) -> None:
    browser, foreign = known_browser(alice), known_browser(mallory)
    assert guesses(6, "alice", api=browser) == [401] * 5 + [429]
    assert guess("alice", alice.password).status_code == 201, "others go on"
    assert guesses(5, "alice") == [401] * 5
    assert guess("alice", alice.password, foreign).status_code == 429, "a token of somebody else is as none"
    with later(60):
        assert guess("alice", alice.password, browser).status_code == 201


@pytest.mark.parametrize("cookie", ["", "x", "~~~", "a.b", "~".join(["A" * 22 + "." + "B" * 43] * 50), "é\x7f", "A" * 3000])
def test_a_cookie_that_says_nothing_is_as_none(alice: Person, cookie: str) -> None:
    api = Api()
    api.client.cookies["known"] = cookie
    assert guesses(6, "alice", api=api) == [401] * 5 + [429]


def test_a_browser_knows_five_people_and_keeps_its_token(alice: Person, mallory: Person) -> None:
    api = Api()
    api.take_csrf()
    api.sign_in(alice, grant="session")
    first = api.client.cookies["known"].value
    for person in [mallory, *(make_person("totp") for _ in range(3))]:
        api.sign_in(person, grant="session")
    many = api.client.cookies["known"].value.split("~")
    assert len(many) == 5
    assert many[-1] == first
    api.sign_in(make_person("totp"), grant="session")
    assert first not in api.client.cookies["known"].value.split("~")
    told = [event.about["known"] for event in Event.objects.filter(act="signed_in").order_by("id")]
    assert told == [False] * 6


def test_the_audit_says_whether_the_browser_was_known(alice: Person) -> None:
    browser = known_browser(alice)
    handle = browser.start(alice)
    assert browser.answer(handle, alice.app, alice.code(1)).status_code == 200
    told = [event.about["known"] for event in Event.objects.filter(act="signed_in").order_by("id")]
    assert told == [False, True]


def test_the_page_says_when_it_ends_and_what_works_meanwhile(alice: Person, client: Any) -> None:
    for _ in range(5):
        assert client.post("/sign-in/", {"username": "alice", "password": "wrong"}).status_code == 401
    refused = client.post("/sign-in/", {"username": "alice", "password": alice.password})
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) <= 30
    text = refused.content.decode()
    assert "seconds, at " in text
    assert "A browser in which you have signed in before works meanwhile." in text
    for _ in range(5):
        client.post("/sign-in/", {"username": "nobody", "password": "wrong"})
    unknown = client.post("/sign-in/", {"username": "nobody", "password": alice.password})
    assert unknown.status_code == 429
    assert "seconds, at " in unknown.content.decode()


def test_nothing_stands_in_clear_in_the_store(alice: Person) -> None:
    browser = known_browser(alice)
    for name in ("alice", "nobody"):
        guesses(5, name, REMOTE_ADDR="192.0.2.77")
    guesses(5, "alice", api=browser)
    if settings.CACHE_URL:
        cache = counters._redis(settings.CACHE_URL).client
        keys = [key.decode().removeprefix("mfa_site:") for key in cache.scan_iter("mfa_site:*")]
        held = repr([cache.hgetall(f"mfa_site:{key}") for key in keys])
    else:
        keys = list(Counter.objects.values_list("key", flat=True))
        held = repr(list(Counter.objects.values_list()))
    assert len(keys) == 2 + 2 + 1 + 1 + 2, "pairs, accounts, address, browser; what signing in left"
    assert all(re.fullmatch(r"v2\.[A-Za-z0-9_-]{43}", key) for key in keys)
    for secret in ("alice", "nobody", "192.0.2.77", str(alice.user.uuid), alice.user.uuid.hex, "127.0.0.1"):
        assert secret not in held + repr(keys)


@pytest.mark.races
def test_parallel_right_passwords_delay_nobody(alice: Person) -> None:
    with Crowd() as crowd:
        for _ in range(2):
            answers = crowd.post(lambda api: guess("alice", alice.password, api))
            assert Counted(answer.status_code for answer in answers) == {201: AT_ONCE}
    assert guess("alice", alice.password).status_code == 201
    assert guesses(4, "alice") == [401] * 4


@pytest.mark.races
def test_two_hundred_parallel_wrong_passwords_are_worth_no_more_than_a_series(alice: Person, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["accounts.hashers.Argon2id"]  # so that there is time to overtake
    spellings = ["alice", "ALICE", "Alice", "aLiCe"]
    with Crowd() as crowd:
        numbers = iter(range(200))
        for _ in range(4):
            answers = crowd.post(lambda api: guess(spellings[next(numbers) % 4], "wrong", api))
            seen = Counted(answer.status_code for answer in answers)
            assert set(seen) <= {401, 429}, seen
            assert seen[401] == (5 if _ == 0 else 0), seen


@pytest.mark.races
def test_two_hundred_from_everywhere_are_worth_a_hundred(alice: Person) -> None:
    with Crowd() as crowd:
        numbers, judged = iter(range(1000)), 0
        for _ in range(4):
            answers = crowd.post(lambda api: guess("alice", "wrong", api, REMOTE_ADDR=f"10.1.{next(numbers)}.1"))
            seen = Counted(answer.status_code for answer in answers)
            assert set(seen) <= {401, 429}, seen
            judged += seen[401]
        assert judged == 100


class OwnRedis:
    """A server of this test's own, on a free port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_redis_stopped_is_refused_and_comes_back_alone(alice: Person, settings: Any) -> None:
    server = OwnRedis()
    try:
        settings.CACHE_URL = server.url
        assert guess("alice", alice.password).status_code == 201
        assert Client().get("/readyz").json()["cache"] == "ok"
        server.stop()
        for _ in range(2):
            refused = guess("alice", alice.password)
            assert code_of(refused) == (503, "unavailable")
            assert guess("nobody").status_code == 503
            assert Client().get("/readyz").status_code == 503
        assert Client().post("/sign-in/", {"username": "alice", "password": alice.password}).status_code == 503
        server.start()
        assert guess("alice", alice.password).status_code == 201
        assert guesses(6, "alice") == [401] * 5 + [429]
        server.process.send_signal(signal.SIGSTOP)  # it takes connections and says nothing
        began = time.monotonic()
        assert guess("alice", alice.password).status_code == 503
        assert time.monotonic() - began < 4
        server.process.send_signal(signal.SIGCONT)
        assert guess("nobody").status_code == 401
    finally:
        server.stop()


def test_a_fault_while_a_password_is_judged_counts_nothing(alice: Person) -> None:
    caller = Caller("192.0.2.9", "", "")
    for _ in range(10):
        with pytest.raises(ZeroDivisionError), limits.attempt(limits.Who("somebody"), caller, timezone.now()):
            raise ZeroDivisionError
    with limits.attempt(limits.Who("somebody"), caller, timezone.now()):
        pass


def test_known_and_unknown_names_have_the_same_answer_and_time(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["accounts.hashers.Argon2id"]
    for number in range(4):
        make_person("totp", username=f"known{number}")
    make_person("totp", username="gone", is_active=False)
    seen: dict[str, list[float]] = {"known": [], "other": []}
    said = set()
    for number in range(203):
        for names in seen:
            began = time.perf_counter()
            answer = guess(f"{names}{number % 4}", REMOTE_ADDR=f"10.{number}.0.1")
            seen[names].append(time.perf_counter() - began)
            said.add(as_said(answer))
    said.add(as_said(guess("gone")))
    assert len(said) == 1, said
    medians = {names: statistics.median(times[3:]) * 1000 for names, times in seen.items()}
    logging.getLogger(__name__).info("medians in ms: %s", medians)  # shown by --log-cli-level=info
    assert abs(medians["known"] - medians["other"]) < 5, medians


def as_said(answer: Any) -> tuple[int, str, str]:
    """Status, headers and body but for the request's own id."""
    mine = answer["X-Request-ID"]
    return answer.status_code, repr(answer.headers).replace(mine, ""), answer.content.decode().replace(mine, "")


def test_refused_names_have_the_same_answer(alice: Person) -> None:
    for name in ("alice", "nobody"):
        guesses(5, name)
    said = {re.sub(r"'Retry-After': '\d+'", "", repr(as_said(guess(name)))) for name in ("alice", "nobody")}
    assert len(said) == 1, said
    counts = []
    for name in ("alice", "nobody"):
        with CaptureQueriesContext(connection) as captured:
            guess(name)
        counts.append(len(captured))
    assert counts[0] == counts[1]
