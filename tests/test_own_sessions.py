"""One's own sessions, browsers and programs alike: listed, ended, and nobody else's."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.models import BrowserSession
from accounts.user_agents import in_our_words, in_words
from audit.models import Event
from devices.models import Device
from grants.models import RefreshFamily
from tests.conftest import Api, Person, code_of, make_person
from tests.test_grants import refresh
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


def person_with_key() -> Person:
    """Somebody who can sign in as often as they like."""
    return make_person("fido2")


def by_session(person: Person, user_agent: str = FIREFOX) -> Api:
    api = Api()
    api.client.defaults["HTTP_USER_AGENT"] = user_agent
    api.take_csrf()
    api.sign_in(person, grant="session")
    return api


def by_bearer(person: Person, user_agent: str = "curl/8.14.1") -> tuple[Api, str]:
    api = Api()
    api.client.defaults["HTTP_USER_AGENT"] = user_agent
    pair = api.sign_in(person)
    api.bearer = pair["access_token"]
    return api, pair["refresh_token"]


def listed(api: Api) -> list[dict[str, Any]]:
    answer = api.get("sessions")
    assert answer.status_code == 200, answer.content
    return list(answer.json()["sessions"])


def current(api: Api) -> str:
    return str(next(row["uuid"] for row in listed(api) if row["current"]))


def is_in(api: Api) -> bool:
    """Whether an unsafe call is known: nobody has this session."""
    answer = api.call("DELETE", f"sessions/{uuid4()}")
    assert answer.status_code in (404, 401), answer.content
    return bool(answer.status_code == 404)


def test_browsers_and_programs_stand_in_one_list_and_each_knows_itself() -> None:
    person = person_with_key()
    browser, (program, token) = by_session(person), by_bearer(person)
    by_session(person_with_key())
    rows = listed(browser)
    assert [(row["type"], row["client"], row["device"], row["current"]) for row in rows] == [
        ("browser", "Firefox on Linux", person.key.name, True),
        ("token", "curl", person.key.name, False),
    ]
    assert [row["current"] for row in listed(program)] == [False, True]
    assert set(rows[0]) == {"uuid", "type", "client", "device", "created_at", "last_seen_at", "expires_at", "current"}
    family = RefreshFamily.objects.get()
    assert rows[1]["uuid"] == str(family.uuid) and rows[1]["last_seen_at"] == rows[1]["created_at"]
    RefreshFamily.objects.update(created_at=F("created_at") - timedelta(hours=1))
    refresh(token)
    row = next(row for row in listed(browser) if row["type"] == "token")
    assert row["last_seen_at"] > row["created_at"]


def test_a_browser_ends_a_program_and_a_program_a_browser() -> None:
    person = person_with_key()
    browser, (program, token) = by_session(person), by_bearer(person)
    assert is_in(program)
    assert browser.call("DELETE", f"sessions/{current(program)}").status_code == 204
    assert not is_in(program) and refresh(token).json() == {"error": "invalid_grant"}
    assert [row["current"] for row in listed(browser)] == [True], "what has ended is not listed"
    program, _ = by_bearer(person)
    sid = current(browser)
    assert program.call("DELETE", f"sessions/{sid}").status_code == 204
    assert browser.get("me").status_code == 401
    assert code_of(program.call("DELETE", f"sessions/{sid}")) == (404, "not_found")
    event = Event.objects.filter(act="session_ended").latest("id")
    assert str(event.sid) == sid and event.person == person.user.uuid
    assert BrowserSession.objects.get(uuid=sid).ended_for == "ended_by_person"


def test_ending_the_current_one_signs_out() -> None:
    person = person_with_key()
    browser, (program, token) = by_session(person), by_bearer(person)
    answer = browser.call("DELETE", f"sessions/{current(browser)}")
    assert answer.status_code == 204 and answer.cookies["session"].value == ""
    answer = program.call("DELETE", f"sessions/{current(program)}")
    assert answer.status_code == 204 and "session" not in answer.cookies
    assert not is_in(program) and refresh(token).status_code == 400


def test_all_others_end_and_the_current_one_stays() -> None:
    person, other = person_with_key(), person_with_key()
    browsers, (program, token) = [by_session(person) for _ in range(3)], by_bearer(person)
    stranger, (_, strange) = by_session(other), by_bearer(other)
    assert browsers[0].call("DELETE", "sessions").status_code == 204
    assert [api.get("me").status_code for api in browsers] == [200, 401, 401] and not is_in(program)
    assert refresh(token).status_code == 400
    assert stranger.get("me").status_code == 200 and refresh(strange).status_code == 200
    event = Event.objects.get(act="sessions_ended")
    assert event.about == {"ended": 3} and str(event.sid) == current(browsers[0])
    assert browsers[0].call("DELETE", "sessions").status_code == 204
    assert Event.objects.filter(act="sessions_ended").count() == 1, "nothing was left to end"


def test_ending_needs_no_fresh_proof_but_the_csrf_header() -> None:
    person = person_with_key()
    browser, (program, _) = by_session(person), by_bearer(person)
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(hours=1))
    browser.csrf, token = "", browser.csrf
    for path in ("sessions", f"sessions/{current(program)}"):
        assert code_of(browser.call("DELETE", path)) == (403, "csrf_failed")
    browser.csrf = token
    assert is_in(program)
    assert browser.call("DELETE", f"sessions/{current(program)}").status_code == 204


def test_somebody_elses_is_not_there_on_every_verb() -> None:
    victim, attacker = person_with_key(), person_with_key()
    browser, (program, token) = by_session(victim), by_bearer(victim)
    ids = [current(browser), current(program)]
    for api in (by_session(attacker), by_bearer(attacker)[0]):
        for uuid in ids:
            theirs, nobodys = ([api.call(verb, f"sessions/{which}") for verb in VERBS] for which in (uuid, uuid4()))
            assert (
                [answer.status_code for answer in theirs] == [answer.status_code for answer in nobodys] == [405, 405, 405, 404]
            )
            assert code_of(api.get(f"sessions?after={uuid}")) == (404, "not_found")
    page = Browser()
    page.client = by_session(attacker).client
    for uuid in ids:
        page.go("/account/sessions/").send(session=uuid)
        assert page.status == 404 and "That session is over already." in page.text
    assert browser.get("me").status_code == 200 and is_in(program) and refresh(token).status_code == 200


VERBS = ("GET", "PUT", "PATCH", "DELETE")


@pytest.mark.parametrize("what", ["idle", "old", "ended", "device"])
def test_what_is_over_is_not_listed_and_not_there(what: str) -> None:
    person = make_person("fido2", "fido2")
    by_session(person), by_bearer(person)
    sids = [BrowserSession.objects.get().uuid, RefreshFamily.objects.get().uuid]
    now = timezone.now()
    if what == "idle":
        BrowserSession.objects.update(last_seen_at=now - timedelta(minutes=30))
        RefreshFamily.objects.update(idle_until=now)
    elif what == "old":
        BrowserSession.objects.update(expires_at=now)
        RefreshFamily.objects.update(expires_at=now)
    elif what == "ended":
        BrowserSession.objects.update(ended_at=now)
        RefreshFamily.objects.update(ended_at=now)
    else:
        Device.objects.filter(pk=person.key.pk).update(state="suspended")
    person.keys.pop(0)
    api = by_session(person)
    assert [row["current"] for row in listed(api)] == [True]
    if what != "device":
        assert [api.call("DELETE", f"sessions/{sid}").status_code for sid in sids] == [404, 404]


def test_pages_of_the_list() -> None:
    person = person_with_key()
    for _ in range(3):
        by_bearer(person)
    api = by_session(person)
    rows = listed(api)
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows) and len(rows) == 4
    seen: list[str] = []
    path = "sessions?limit=3"
    while path:
        answer = api.get(path).json()
        seen += [row["uuid"] for row in answer["sessions"]]
        path = f"sessions?limit=3&after={answer['next']}" if answer["next"] else ""
    assert seen == [row["uuid"] for row in rows]
    for query in ("limit=0", "limit=101", "limit=x"):
        assert code_of(api.get(f"sessions?{query}")) == (400, "malformed")


def test_the_page_shows_them_and_ends_one_and_all_others() -> None:
    person = person_with_key()
    browser = Browser()
    browser.client = by_session(person).client
    phone, (_, token) = by_session(person, PHONE), by_bearer(person)
    browser.go("/account/sessions/")
    for words in ("Firefox on Linux", "Safari on iPhone", "curl", "This one", "127.0.0.1", person.key.name):
        assert words in browser.text
    browser.send(session=current(phone))
    assert browser.at == "/account/sessions/" and "That session was ended." in browser.text
    assert "Safari on iPhone" not in browser.text and phone.get("me").status_code == 401
    browser.send(session="others")
    assert "1 other session was ended." in browser.text and refresh(token).status_code == 400
    assert "End all others" not in browser.text
    for nonsense in ("", "x", "\0", str(uuid4())):
        assert browser.send("/account/sessions/", session=nonsense).status == 404
        browser.go("/account/sessions/")
    assert browser.client.post("/account/sessions/", {"session": "others"}).status_code == 403, "without the CSRF field"


def test_ending_this_one_on_the_page_signs_out(alice: Person) -> None:
    browser = Browser().sign_in(alice, "/account/sessions/")
    browser.send(session=str(BrowserSession.objects.get(person=alice.user).uuid))
    assert browser.at == "/sign-in/?signed_out=1" and "session" not in {
        name for name, morsel in browser.client.cookies.items() if morsel.value
    }


def test_a_page_with_very_many_sessions_stays_short() -> None:
    person = person_with_key()
    browser = Browser()
    browser.client = by_session(person).client
    by_bearer(person)
    family = RefreshFamily.objects.get()
    RefreshFamily.objects.bulk_create(copies(family, 60))
    browser.go("/account/sessions/")
    assert browser.text.count('name="session"') == 51 and "And 12 more." in browser.text
    assert "61 other sessions were ended." in browser.send(session="others").text


def copies(family: RefreshFamily, count: int) -> list[RefreshFamily]:
    """More families like this one."""
    names = [field.attname for field in RefreshFamily._meta.concrete_fields if field.attname not in ("id", "uuid")]
    return [RefreshFamily(**{name: getattr(family, name) for name in names}) for _ in range(count)]


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (PHONE, "Safari on iPhone"),
        (CHROME, "Chrome on Windows"),
        (f"{CHROME} Edg/140.0.0.0", "Edge on Windows"),
        (f"{CHROME} OPR/120.0.0.0", "Opera on Windows"),
        ("Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", "Firefox on Android"),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
            "Chrome on ChromeOS",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15",
            "Safari on macOS",
        ),
        ("curl/8.14.1", "curl"),
        ("python-requests/2.32.3", "python-requests"),
        ("okhttp", "okhttp"),
        ("", "Unknown program"),
        ("<script>alert(1)</script>", "Unknown program"),
        ("Mozilla/5.0", "Unknown program"),
    ],
)
def test_a_user_agent_in_words(user_agent: str, words: str) -> None:
    assert in_words(user_agent) == words


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (CHROME, "Chrome on Windows"),
        ("curl/8.14.1", "curl"),
        ("Call us now on 0800/1", "an unknown program"),
        ("evil.example (Linux)", "Linux"),
        ("", "an unknown program"),
    ],
)
def test_in_a_mail_nobody_says_a_word_of_their_own(user_agent: str, words: str) -> None:
    assert in_our_words(user_agent) == words
