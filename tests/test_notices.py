"""Mails about what happened to an account, to a real SMTP server."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import mails, notices, own_devices
from accounts.models import Notice, User
from audit.events import record
from audit.models import Event
from devices.models import DISABLE_AT, Device
from mfa_site.client import Client
from tests.conftest import Api, Person, make_person
from tests.post_office import PostOffice

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
BROWSER = Client("192.0.2.7", FIREFOX, "a-request-id")


def happened(act: str, person: Person, client: Client = BROWSER, **more: Any) -> Event:
    """The event, as it is written wherever it happens."""
    record(act, client=client, person=person.user.uuid, **more)
    return Event.objects.latest("id")


def send(now: datetime | None = None) -> int:
    return notices.send_due(now or timezone.now())


@pytest.mark.parametrize("act", mails.TOLD)
def test_every_act_is_told_with_what_when_where_and_what_to_do(office: PostOffice, alice: Person, act: str) -> None:
    User.objects.filter(pk=alice.user.pk).update(name="Alice Example")
    Device.objects.update(name="Blue phone")
    happened("signed_in", alice, Client("192.0.2.1", "", "an-earlier-one"), known=False)
    event = happened(act, alice, device=alice.app.uuid, known=False)
    assert send() == 1
    [mail], [text] = office.mails, office.texts
    subject, sentence = mails.TOLD[act]
    assert mail["Subject"] == f"MFA Site: {subject}" and mail["To"] == "p@example.org"
    assert mail["Auto-Submitted"] == "auto-generated" and mail["From"] == "noreply@localhost"
    assert mail.get_content_type() == "text/plain", "nothing to load from afar"
    assert text.startswith("Hello Alice Example,\n")
    assert str(sentence) % {"device": "“Blue phone” (Authenticator app)"} in text
    assert f"When: {event.at:%-d %B %Y, %H:%M} UTC\nFrom: 192.0.2.7\nWith: Firefox on Linux\n" in text
    assert "http://localhost:8000/account/" in text and "http://localhost:8000/password/forgotten/" in text


def test_what_really_happens_is_told(office: PostOffice, person: Any, api: Api) -> None:
    alice = person("totp", "fido2")
    own_devices.remove(alice.key, BROWSER, timezone.now())
    handle = api.start(alice)
    for _ in range(5):
        api.answer(handle, alice.app, alice.wrong_code())
    send()
    assert office.subjects == ["MFA Site: a device was removed", "MFA Site: wrong answers for a device"]


def test_the_fiftieth_wrong_answer_is_told_as_what_it_is(office: PostOffice, alice: Person, api: Api) -> None:
    Device.objects.update(failures=DISABLE_AT - 1)
    api.answer(api.start(alice), alice.app, alice.wrong_code())
    send()
    assert office.subjects == ["MFA Site: a device was switched off"]


def test_nobody_is_told_of_the_rest(office: PostOffice, alice: Person) -> None:
    happened("signed_in", alice, known=True)
    happened("device_renamed", alice, device=alice.app.uuid)
    record("device_removed", client=BROWSER)
    assert send() == 0 and not office.mails and not Notice.objects.exists()


def test_a_new_browser_is_told_once_for_each_program_and_address(office: PostOffice, alice: Person) -> None:
    """The very first sign-in is no news, and a script, which keeps no cookie, is news once."""
    elsewhere = Client("198.51.100.4", FIREFOX, "a-request-id")
    happened("signed_in", alice, known=False)
    assert send() == 0
    for client, mails_until_then in ((elsewhere, 1), (elsewhere, 1), (BROWSER, 1), (Client("198.51.100.4", "curl/8", "r"), 2)):
        happened("signed_in", alice, client, known=False)
        send()
        assert office.subjects == ["MFA Site: a sign-in from a new browser"] * mails_until_then


def test_each_is_sent_once_by_one_worker_and_a_second_and_a_restarted_one(office: PostOffice, alice: Person) -> None:
    happened("password_changed", alice)
    assert [send(), send()] == [1, 0]
    notices.forget()
    assert send() == 0 and len(office.mails) == 1


@pytest.mark.django_db(transaction=True)
def test_ten_workers_at_once_send_each_once(office: PostOffice) -> None:
    people = [make_person() for _ in range(5)]
    for person in people:
        User.objects.filter(pk=person.user.pk).update(email=f"{person.user.username}@example.org")
        happened("password_changed", person)
    ready = threading.Barrier(10)

    def work() -> int:
        try:
            ready.wait()
            return send()
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        sent = [pool.submit(work) for _ in range(10)]
    assert sum(each.result() for each in sent) == 5
    assert sorted(mail["To"] for mail in office.mails) == sorted(f"{person.user.username}@example.org" for person in people)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="on SQLite one transaction writes at a time")
def test_an_event_that_commits_late_is_not_passed_over(
    office: PostOffice, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "PATIENCE", 0.05)
    happened("password_changed", alice)
    assert send() == 1
    written, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            happened("device_lost", alice)
            written.set()
            go_on.wait(10)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        slow_one = pool.submit(slow)
        written.wait(10)
        happened("device_removed", alice)  # a higher id, committed first
        send()
        go_on.set()
        slow_one.result()
    send()
    assert sorted(office.subjects)[0:2] == ["MFA Site: a device was removed", "MFA Site: a device was reported lost"]


def test_a_mail_server_that_is_away_costs_only_time(office: PostOffice, alice: Person) -> None:
    happened("password_changed", alice)
    now = timezone.now()
    office.close()
    with pytest.raises(OSError):
        send(now)
    assert send(now + timedelta(seconds=59)) == 0, "it rests"
    with pytest.raises(OSError):
        send(now + timedelta(seconds=61))
    office.open()
    assert send(now + timedelta(seconds=62)) == 0, "and longer"
    assert send(now + timedelta(minutes=4)) == 1 and len(office.mails) == 1
    assert Notice.objects.get().attempts == 3


def test_a_worker_that_was_killed_in_the_middle_leaves_the_notice_to_the_next(office: PostOffice, alice: Person) -> None:
    happened("password_changed", alice)
    now = timezone.now()
    notices.find(now)
    assert notices.claim(Notice.objects.get(), now)
    assert send(now + timedelta(minutes=1)) == 0
    assert send(now + notices.CLAIM) == 1


def test_of_two_claims_one_wins(office: PostOffice, alice: Person) -> None:
    happened("password_changed", alice)
    now = timezone.now()
    notices.find(now)
    first, second = Notice.objects.get(), Notice.objects.get()
    assert notices.claim(first, now) and not notices.claim(second, now)


def test_after_a_day_it_is_given_up_and_the_audit_says_so(office: PostOffice, alice: Person) -> None:
    happened("password_changed", alice)
    now = timezone.now()
    office.close()
    for minutes in range(0, 24 * 60, 10):
        try:
            send(now + timedelta(minutes=minutes))
        except OSError:
            continue
    row = Notice.objects.get()
    assert row.gave_up_at and row.sent_at is None and row.attempts < 40
    event = Event.objects.get(act="notice_given_up")
    assert (event.person, event.reason, event.about["notice"]) == (alice.user.uuid, "NOT_SENT", "password_changed")
    office.open()
    assert send(now + timedelta(days=2)) == 0


def test_a_worker_that_was_away_for_a_day_tells_nothing_stale(office: PostOffice, alice: Person) -> None:
    happened("password_changed", alice)
    notices.find(timezone.now())
    assert send(timezone.now() + timedelta(hours=25)) == 0 and not office.mails
    assert Event.objects.get(act="notice_given_up").reason == "TOO_LATE"
    Notice.objects.all().delete()
    notices.forget()
    assert send(timezone.now() + timedelta(hours=25)) == 0 and not Notice.objects.exists()


@pytest.mark.parametrize(("answer", "tried"), [("550 no such mailbox", 1), ("451 come again", 2)])
@pytest.mark.parametrize("where", ["refuse_recipient", "refuse_data"])
def test_a_mailbox_that_is_refused_holds_up_nobody(
    office: PostOffice, alice: Person, mallory: Person, where: str, answer: str, tried: int
) -> None:
    happened("password_changed", alice)
    setattr(office, where, answer)
    now = timezone.now()
    assert send(now) == 0
    setattr(office, where, "")
    happened("password_changed", mallory)
    assert send(now + timedelta(seconds=5)) == 1, "the other's"
    assert send(now + timedelta(minutes=5)) == tried - 1
    assert Event.objects.filter(act="notice_given_up", reason="REFUSED").count() == 2 - tried


@pytest.mark.parametrize("address", ["no address", "a@b\nBcc: all@example.org", "x@" + "é" * 80 + ".org", "@"])
def test_an_address_that_is_none_is_given_up(office: PostOffice, alice: Person, mallory: Person, address: str) -> None:
    User.objects.filter(pk=alice.user.pk).update(email=address)
    happened("password_changed", alice)
    happened("password_changed", mallory)
    assert send() >= 1
    assert "p@example.org" in {mail["To"] for mail in office.mails}
    assert all(mail["Bcc"] is None for mail in office.mails)


def test_a_person_without_an_address_or_who_is_gone_is_passed_by(office: PostOffice, alice: Person, mallory: Person) -> None:
    User.objects.filter(pk=alice.user.pk).update(email="")
    happened("password_changed", alice)
    happened("password_changed", mallory)
    mallory.user.delete()
    assert send() == 0 and not office.mails and not Event.objects.filter(act="notice_given_up").exists()
    assert send(timezone.now() + timedelta(hours=1)) == 0


def test_nothing_that_somebody_typed_becomes_a_header_or_a_line(office: PostOffice, alice: Person, settings: Any) -> None:
    evil = "Eve\r\nBcc: all@example.org\r\n\r\nPlease open\nhttp://evil.example"
    User.objects.filter(pk=alice.user.pk).update(name=evil)
    Device.objects.update(name=evil)
    settings.RP_NAME = "Site\nX-Evil: 1"
    agent = "Your account is locked, open http://evil.example now Firefox/1"
    happened("device_enrolled", alice, Client("192.0.2.7", agent, ""), device=alice.app.uuid)
    assert send() == 1
    [mail], [text] = office.mails, office.texts
    assert mail["Bcc"] is None and mail["X-Evil"] is None
    assert all(not line.startswith(("Bcc", "http://evil")) for line in text.splitlines())
    assert "locked" not in text and "With: Firefox\n" in text, "a program's own words are not repeated"


def test_wrong_answers_fill_no_mailbox(office: PostOffice, person: Any) -> None:
    alice = person("totp", "fido2")
    for _ in range(5):
        happened("device_paused", alice, device=alice.app.uuid)
    happened("device_paused", alice, device=alice.key.uuid)
    assert send() == 2, "one for each device"
    notices.forget()
    assert send() == 0
    Event.objects.update(at=timezone.now() - timedelta(minutes=61))
    happened("device_paused", alice, device=alice.app.uuid)
    assert send() == 1, "an hour later one more"


def test_without_mail_nothing_is_sent_and_nothing_piles_up(office: PostOffice, alice: Person, settings: Any) -> None:
    settings.HAS_MAIL = False
    happened("password_changed", alice)
    assert send() == 0 and not Notice.objects.exists()


def test_a_round_with_nothing_to_do_costs_next_to_nothing(
    office: PostOffice, alice: Person, django_assert_max_num_queries: Any
) -> None:
    happened("password_changed", alice)
    send()
    send()
    with django_assert_max_num_queries(3):
        send()
