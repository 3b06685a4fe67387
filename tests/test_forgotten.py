"""A forgotten password: the same for every name, a link that works once, and what it leaves alone."""

import json
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from logging.config import DictConfigurator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import forgotten, notices, prune
from accounts.models import BrowserSession, Notice, PasswordReset, SignIn, User
from audit.models import Event
from devices.models import Device
from grants.models import RefreshFamily
from mfa_site import logs
from tests.conftest import Api, Person, make_person
from tests.post_office import PostOffice
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db

NEW = "quiet river seven lamps"


def ask(name: str) -> Browser:
    return Browser().go("/password/forgotten/").send(username=name)


def code_in(text: str) -> str:
    found = re.search(r"http://localhost:8000/password/reset/([A-Za-z0-9_-]{22})/\n", text)
    assert found, text
    return found.group(1)


def link(office: PostOffice, person: Person) -> str:
    """The code of a link that was asked for and has come."""
    ask(person.user.username)
    notices.send_due(timezone.now())
    return code_in(office.texts[-1])


def choose(code: str, password: str = NEW) -> Browser:
    return Browser().go("/sign-in/").send("/password/reset/", code=code, new=password, again=password)


def signs_in(person: Person, password: str) -> bool:
    body = {"username": person.user.username, "password": password}
    return bool(Api().post("sign-ins", body).status_code == 201)


def test_from_the_forgotten_password_to_the_new_one(office: PostOffice, alice: Person) -> None:
    browser = Browser().go("/sign-in/")
    assert 'href="/password/forgotten/"' in browser.text
    browser.go("/password/forgotten/").send(username="ALICE")
    assert browser.at == "/password/forgotten/?sent=1" and "Look into your mailbox." in browser.text
    assert notices.send_due(timezone.now()) == 1
    [mail], [text] = office.mails, office.texts
    assert mail["Subject"] == "MFA Site: choose a new password" and mail["To"] == "p@example.org"
    assert "for your account alice" in text and "It works once, for 30 minutes." in text and "From: 127.0.0.1\n" in text
    browser.go(f"/password/reset/{code_in(text)}/").send("/password/reset/", code=code_in(text), new=NEW, again=NEW)
    assert browser.at == "/sign-in/?password_changed=1" and "Password changed. Sign in." in browser.text
    assert signs_in(alice, NEW) and not signs_in(alice, alice.password)
    assert notices.send_due(timezone.now()) == 1
    assert office.subjects[-1] == "MFA Site: your password was changed"


@pytest.mark.parametrize("name", ["nobody", "gone", "NOBODY ", "x" * 150, "ｎｏｂｏｄｙ"])
def test_known_unknown_and_inactive_names_get_the_same_answer_at_the_same_cost(
    alice: Person, mallory: Person, name: str
) -> None:
    User.objects.filter(pk=mallory.user.pk).update(is_active=False, username="gone", username_key="gone")
    ask("nobody-else")  # the process has its MAC key
    answers = []
    for who in ("alice", name):
        client = Client()
        with CaptureQueriesContext(connection) as captured:
            answer = client.post("/password/forgotten/", {"username": who})
        shapes = [re.sub(r"'[^']*'|\d+", "?", query["sql"][:60]) for query in captured.captured_queries]
        headers = {key: value for key, value in answer.headers.items() if key != "X-Request-ID"}
        answers.append((answer.status_code, headers, answer.content, list(answer.cookies), shapes))
    assert answers[0] == answers[1] and answers[0][0] == 302 and len(answers[0][4]) <= 8


def test_only_whom_a_password_signs_in_gets_a_mail(office: PostOffice, alice: Person, mallory: Person, nora: Person) -> None:
    User.objects.filter(pk=mallory.user.pk).update(is_active=False)
    User.objects.filter(pk=nora.user.pk).update(password="!unusable")
    for name in ("mallory", "nora", "nobody"):
        ask(name)
    assert notices.send_due(timezone.now()) == 0 and not office.mails and not PasswordReset.objects.exists()
    assert not Event.objects.filter(act="notice_given_up").exists()


def test_a_mailbox_alone_never_enrols_a_first_device(office: PostOffice, nora: Person) -> None:
    ask("nora")
    assert notices.send_due(timezone.now()) == 0
    User.objects.update(enrol_until=timezone.now() - timedelta(minutes=1))
    ask("nora")
    assert notices.send_due(timezone.now()) == 1, "her password opens no enrolment any more"


def test_who_asks_too_often_is_told_to_wait(alice: Person) -> None:
    for number in range(forgotten.MOST):
        assert ask(f"nobody{number}").status == 200
    assert Event.objects.count() == forgotten.MOST
    for name in ("alice", "nobody"):
        browser = ask(name)
        assert browser.status == 429 and "Too many tries." in browser.text
    assert Event.objects.count() == forgotten.MOST


@pytest.mark.parametrize(
    "path", ["/password/reset//{}/", "/PASSWORD/Reset/{}", "/password/reset/%20{}/", "/password/reset/a'{}"]
)
def test_a_mangled_link_is_not_in_the_log_either(path: str) -> None:
    code = "c0dec0dec0dec0dec0deA9"
    line = logs.without_codes(None, "", {"event": f"Not Found: {path.format(code)}"})
    assert code not in line["event"]


def test_three_mails_an_hour(office: PostOffice, alice: Person) -> None:
    for _ in range(6):
        ask("alice")
        notices.send_due(timezone.now())
    assert len(office.mails) == 3


def test_looking_uses_up_nothing(office: PostOffice, alice: Person) -> None:
    code = link(office, alice)
    for method in ("head", "get", "get", "get", "options", "put", "delete"):
        getattr(Client(), method)(f"/password/reset/{code}/")
    assert PasswordReset.objects.get().used_at is None
    assert choose(code).at == "/sign-in/?password_changed=1"


def test_the_page_says_nothing_of_the_code_to_others(office: PostOffice, alice: Person) -> None:
    answer = Client().get(f"/password/reset/{link(office, alice)}/")
    assert answer["Referrer-Policy"] == "strict-origin" and "no-store" in answer["Cache-Control"]


def over(browser: Browser) -> bool:
    return browser.status == 404 and "This link is over" in browser.text


def test_a_link_works_once(office: PostOffice, alice: Person) -> None:
    code = link(office, alice)
    choose(code)
    assert over(choose(code, "another long password"))
    assert signs_in(alice, NEW)


def test_a_newer_link_makes_the_older_dead(office: PostOffice, alice: Person) -> None:
    older, newer = link(office, alice), link(office, alice)
    assert older != newer and over(choose(older)) and choose(newer).status == 200 and signs_in(alice, NEW)


def test_after_half_an_hour_it_is_over(office: PostOffice, alice: Person) -> None:
    code = link(office, alice)
    row = PasswordReset.objects.get()
    assert row.expires_at - row.created_at == timedelta(minutes=30)
    PasswordReset.objects.update(expires_at=timezone.now())
    assert over(choose(code)) and signs_in(alice, alice.password)


def test_a_link_is_dead_when_the_password_changed_or_the_person_is_inactive(office: PostOffice, alice: Person) -> None:
    code = link(office, alice)
    User.objects.update(is_active=False)
    assert over(choose(code))
    User.objects.update(is_active=True)
    alice.user.set_password("changed in the meantime")
    alice.user.save()
    assert over(choose(code)) and signs_in(alice, "changed in the meantime")


@pytest.mark.parametrize("what", [{"is_active": False}, {"password": "argon2$another"}])
def test_what_changes_between_the_look_and_the_use_wins(office: PostOffice, alice: Person, what: dict[str, Any]) -> None:
    row = forgotten.by_code(link(office, alice), timezone.now())
    User.objects.update(**what)
    assert not row.use(timezone.now())


@pytest.mark.parametrize("code", ["", "x", "x" * 22, "%00", "..", "a/b", "%F0%9F%92%A9", "x" * 5000])
def test_a_code_that_is_none(alice: Person, code: str) -> None:
    assert Client().get(f"/password/reset/{code}/").status_code == 404
    assert Client().post("/password/reset/", {"code": code, "new": NEW, "again": NEW}).status_code == 404
    assert Client().post("/password/reset/", {"code": "\x00", "new": "\x00"}).status_code == 404


@pytest.mark.parametrize(
    "password", ["", "short", "123456789987654321", "p@example.org12", "1" * 15, "x" * 1025, "with\x00nul" * 5]
)
def test_a_bad_password_is_refused_and_the_link_still_good(office: PostOffice, alice: Person, password: str) -> None:
    code = link(office, alice)
    browser = choose(code, password)
    assert browser.status == 400 and 'class="wrong"' in browser.text
    assert not password or f'"{password}"' not in browser.text, "a password is never shown again"
    assert choose(code).at == "/sign-in/?password_changed=1"


def test_two_that_differ_are_refused(office: PostOffice, alice: Person) -> None:
    code = link(office, alice)
    browser = Browser().go("/sign-in/").send("/password/reset/", code=code, new=NEW, again=NEW + "x")
    assert browser.status == 400 and "The two are not the same." in browser.text and NEW not in browser.text
    assert signs_in(alice, alice.password)


@pytest.mark.parametrize("name", ["", "x" * 151, "a\x00b"])
def test_a_name_that_is_none(alice: Person, name: str) -> None:
    browser = Browser().go("/password/forgotten/").send(username=name)
    assert browser.status == 400 and not Event.objects.exists()


def test_everything_is_signed_out_and_devices_are_left_alone(office: PostOffice, person: Any, mallory: Person) -> None:
    alice = person("totp")
    other = Browser().sign_in(mallory)
    browser, bearer, half = Browser().sign_in(alice), Api(), Browser().password(alice)
    Device.objects.filter(pk=alice.app.pk).update(counter=-1)
    bearer.bearer = bearer.sign_in(alice)["access_token"]
    before = list(Device.objects.order_by("pk").values())
    code = link(office, alice)
    changed = browser.go(f"/password/reset/{code}/").send("/password/reset/", code=code, new=NEW, again=NEW)
    assert changed.at == "/sign-in/?password_changed=1"
    assert browser.go("/account/").at.startswith("/sign-in/")
    assert bearer.post("devices", {"kind": "totp"}).status_code == 401
    assert "Start again" in half.send(code=alice.code(1)).text
    ended = set(BrowserSession.objects.filter(person=alice.user).values_list("ended_for", flat=True))
    assert ended == {"password_reset"} == set(RefreshFamily.objects.values_list("ended_for", flat=True))
    assert list(Device.objects.order_by("pk").values()) == before
    assert other.go("/account/").status == 200 and other.at == "/account/"
    assert Event.objects.get(act="password_reset").person == alice.user.uuid


def test_nobody_is_signed_in_by_it(office: PostOffice, alice: Person) -> None:
    browser = choose(link(office, alice))
    assert "session" not in browser.client.cookies and not BrowserSession.objects.exists() and not SignIn.objects.exists()
    assert browser.go("/account/").at.startswith("/sign-in/")


def test_the_form_needs_its_csrf_field(office: PostOffice, alice: Person) -> None:
    code = link(office, alice)
    client = Client(enforce_csrf_checks=True)
    assert client.post("/password/reset/", {"code": code, "new": NEW, "again": NEW}).status_code == 403
    assert client.post("/password/forgotten/", {"username": "alice"}).status_code == 403
    assert choose(code).status == 200 and signs_in(alice, NEW)


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_with_one_link_have_one_winner(office: PostOffice) -> None:
    alice = make_person("totp")
    code = link(office, alice)
    ready = threading.Barrier(20)

    def use(number: int) -> str:
        try:
            ready.wait()
            answer = Client().post("/password/reset/", {"code": code, "new": f"{NEW} {number}", "again": f"{NEW} {number}"})
            assert answer.status_code in (302, 404)
            return f"{NEW} {number}" if answer.status_code == 302 else ""
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        won = [password for password in pool.map(use, range(20)) if password]
    assert len(won) == 1 and signs_in(alice, won[0])
    assert Event.objects.filter(act="password_reset").count() == 1


def test_the_code_and_the_name_are_nowhere_in_clear(office: PostOffice, alice: Person, caplog: Any) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(DictConfigurator({}).configure_formatter(logs.config("text")["formatters"]["line"]))
    with caplog.at_level("DEBUG"):
        code = link(office, alice)
        choose(code, "short")
        Client().put(f"/password/reset/{code}/")
        Client(enforce_csrf_checks=True).post(f"/password/reset/{code}/", {"new": NEW, "again": NEW})
        Client().get(f"/password/reset/{code}/more")
        choose(code)
        choose(code)
        ask("my-password-in-the-wrong-field")
    lines = [handler.format(record) for record in caplog.records]
    assert any("/password/reset/…" in line for line in lines), "Django does log the path"
    tables = (Event, Notice, PasswordReset, SignIn, BrowserSession)
    rows = json.dumps([list(table.objects.values()) for table in tables], default=str)
    for secret in (code, NEW, "my-password-in-the-wrong-field"):
        assert secret not in rows and not any(secret in line for line in lines)


def test_without_mail_the_page_says_whom_to_ask(settings: Any, alice: Person) -> None:
    settings.HAS_MAIL = False
    assert "/password/forgotten/" not in Browser().go("/sign-in/").text
    browser = Browser().go("/password/forgotten/")
    assert "Ask your administrator" in browser.text and "<form" not in browser.text
    assert Client().post("/password/forgotten/", {"username": "alice"}).status_code == 200 and not Event.objects.exists()


def test_a_request_that_could_not_be_answered_in_time_is_dropped(office: PostOffice, alice: Person) -> None:
    ask("alice")
    notices.find(timezone.now())
    assert notices.send_due(timezone.now() + timedelta(hours=2)) == 0 and not office.mails


def test_a_second_attempt_sends_a_new_code_that_works(office: PostOffice, alice: Person) -> None:
    ask("alice")
    office.refuse_data = "451 come again"
    notices.send_due(timezone.now())
    office.refuse_data = ""
    assert notices.send_due(timezone.now() + timedelta(minutes=2)) == 1
    assert choose(code_in(office.texts[0])).at == "/sign-in/?password_changed=1"


def test_links_are_forgotten_a_day_after_their_end(alice: Person) -> None:
    now = timezone.now()
    for days in (0, 2):
        forgotten.new_code(alice.user, now - timedelta(days=days))
    assert prune.everything(now)["password_resets"] == 1 and PasswordReset.objects.get().created_at == now
