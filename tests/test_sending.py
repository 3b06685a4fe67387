"""A code on its way: numbered once, within its budgets, queued without its text, and what a bad gateway makes of it."""

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from audit.models import Event
from devices import oath, queue, sending
from devices.lifecycle import State
from devices.models import Device
from devices.senders import http
from mfa_site.errors import Reason, Refused
from tests.conftest import Person, make_person
from tests.gateway import Gateway, running
from tests.post_office import post_office
from tests.running import ROOT, Service, as_setting
from tests.test_races import Crowd
from tests.test_worker import until

pytestmark = pytest.mark.django_db(transaction=True)  # the worker closes connections


def phone(person: Person) -> Device:
    row: Device = Device.objects.get(user=person.user, kind__in=("sms", "email"))
    return row


def send(person: Person, ceremony: Any = None, later: int = 0, device: Device | None = None) -> int:
    """Asked for, so many seconds from now."""
    row = device or phone(person)
    return sending.send(row, ceremony or uuid4(), person.user.uuid, timezone.now() + timedelta(seconds=later))


def too_many(*args: Any, **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        send(*args, **more)
    assert caught.value.reason is Reason.TOO_MANY_ATTEMPTS
    return caught.value


def test_the_message_has_the_code_of_its_number_and_the_line_for_the_browser(gateway: Gateway, carol: Person) -> None:
    assert send(carol) == 1
    queue.drain("test")
    [message] = gateway.messages
    code = oath.at(phone(carol), 1)
    assert message["to"] == "+4915112345678" and message["ref"] == f"{phone(carol).uuid}.1"
    assert message["text"] == f"{code} is your code for MFA Site. Give it to nobody.\n\n@localhost #{code}"


def test_a_long_name_of_the_site_still_makes_one_message(carol: Person, settings: Any) -> None:
    settings.RP_NAME, settings.BASE_URL = "Example " * 40, "https://login.a-rather-long-name.example.org"
    text = sending.text_of(phone(carol), 1)
    assert len(text) <= 160 and text.splitlines()[-1] == f"@login.a-rather-long-name.example.org #{oath.at(phone(carol), 1)}"


def test_a_name_in_letters_that_phones_do_not_share_gives_way_to_the_host(carol: Person, settings: Any) -> None:
    settings.BASE_URL = "https://login.example.org"
    for name, told in (("Müller & Co", "Müller & Co"), ("Łódź", "login.example.org"), ("サイト", "login.example.org")):
        settings.RP_NAME = name
        text = sending.text_of(phone(carol), 1)
        assert f"code for {told}." in text and sending.GSM.issuperset(text.replace("\n", ""))


def test_the_queue_carries_device_and_number_and_nothing_else(gateway: Gateway, carol: Person) -> None:
    number, row = send(carol), phone(carol)
    [task] = DBTaskResult.objects.all()
    assert task.args_kwargs["args"][:2] == [str(row.uuid), number] and len(task.args_kwargs["args"]) == 3
    queue.drain("test")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {DBTaskResult._meta.db_table}")
        everything = repr(cursor.fetchall())
    code = oath.at(row, number)
    assert code not in everything and row.address not in everything and "Give it" not in everything


# ---- budgets -----------------------------------------------------------------------------------------------------------


def test_another_one_a_minute_later_and_none_before(gateway: Gateway, carol: Person) -> None:
    assert send(carol) == 1
    refused = too_many(carol, later=30)
    assert refused.retry_after and 28 <= refused.retry_after <= 31
    assert phone(carol).sent == 1 and DBTaskResult.objects.count() == 1
    assert send(carol, later=61) == 2


def test_three_in_a_ceremony(gateway: Gateway, carol: Person) -> None:
    ceremony = uuid4()
    for number in range(3):
        assert send(carol, ceremony, later=61 * number) == number + 1
    too_many(carol, ceremony, later=61 * 4)
    assert phone(carol).sent == 3, "what is refused takes no number"
    assert send(carol, later=61 * 5) == 4, "another ceremony"


def test_ten_a_day_for_a_person_whatever_the_device(gateway: Gateway, carol: Person) -> None:
    other = Device(user=carol.user, kind="sms", state="active", address="+4915112345679")
    other.seed = b"x" * 20
    other.save()
    for number in range(10):
        send(carol, later=61 * number, device=(phone_first(carol), other)[number % 2])
    too_many(carol, later=61 * 11, device=other)
    assert send(carol, later=25 * 3600, device=other)


def phone_first(person: Person) -> Device:
    row: Device = Device.objects.filter(user=person.user, kind="sms").order_by("id")[0]
    return row


def test_five_people_a_day_for_a_number(gateway: Gateway) -> None:
    people = [make_person("sms") for _ in range(6)]
    for person in people[:5]:
        send(person)
    too_many(people[5])
    too_many(people[5])  # and not the second time either
    assert send(people[0], later=61), "who was counted is not counted again"


def test_capitals_make_no_other_address_of_one(gateway: Gateway) -> None:
    people = [make_person("email") for _ in range(6)]
    for number, person in enumerate(people):
        Device.objects.filter(user=person.user).update(address="p@example.org"[:number] + "p@example.org"[number:].upper())
    for person in people[:5]:
        send(person)
    too_many(people[5])


def test_so_many_to_a_country_and_so_many_in_all(gateway: Gateway, settings: Any) -> None:
    settings.SMS_PER_COUNTRY, settings.SMS_PER_DAY = 2, 3
    people = [make_person("sms") for _ in range(5)]
    for number, person in enumerate(people):
        Device.objects.filter(user=person.user).update(
            address=f"+491511234567{number}" if number < 3 else f"+4366412345{number}"
        )
    send(people[0])
    send(people[1])
    too_many(people[2])
    send(people[3])
    too_many(people[4])


def test_without_a_sender_nothing_goes_out(carol: Person, settings: Any) -> None:
    settings.KINDS_OFF = frozenset({"sms"})
    with pytest.raises(Refused) as caught:
        send(carol)
    assert caught.value.reason is Reason.UNAVAILABLE and phone(carol).sent == 0


@pytest.mark.races
def test_twenty_at_once_send_one() -> None:
    carol = make_person("sms")
    row = phone(carol)

    def one(_api: Any) -> str:
        try:
            return str(send(carol, device=Device.objects.get(pk=row.pk)))
        except Refused as refused:
            return refused.reason.name

    with Crowd(20) as crowd:
        said = crowd.post(one)
    assert sorted(said) == ["1"] + ["TOO_MANY_ATTEMPTS"] * 19
    assert DBTaskResult.objects.count() == 1 and phone(carol).sent == 1


# ---- bad gateways ------------------------------------------------------------------------------------------------------


def test_what_certainly_did_not_go_out_is_void_and_another_may_be_asked_for_at_once(gateway: Gateway, carol: Person) -> None:
    gateway.status = 500
    send(carol)
    queue.drain("test")
    row = phone(carol)
    assert (row.unsent, row.sent_at, len(gateway.asked)) == (1, None, 2), "tried twice"
    event = Event.objects.get(act="code_not_sent")
    assert (event.person, event.reason, event.actor == event.person) == (carol.user.uuid, "NOT_SENT", False)
    gateway.status = 200
    assert send(carol) == 2
    queue.drain("test")
    assert phone(carol).unsent is None and len(gateway.messages) == 1


def test_a_refusal_for_good_is_not_tried_again(gateway: Gateway, carol: Person) -> None:
    gateway.status = 400
    send(carol)
    queue.drain("test")
    assert len(gateway.asked) == 1 and phone(carol).unsent == 1


def test_what_a_slow_gateway_may_have_sent_stays_good(gateway: Gateway, carol: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ", 0.2)
    gateway.pause = 0.6
    send(carol)
    queue.drain("test")
    row = phone(carol)
    assert row.unsent is None and row.sent_at is not None and len(gateway.asked) == 1, "not sent a second time"
    assert len(gateway.wait()) == 1


def test_a_failure_says_nothing_of_a_newer_code(gateway: Gateway, carol: Person) -> None:
    gateway.status = 400
    send(carol)
    row = Device.objects.select_related("user").get(pk=phone(carol).pk)
    send(carol, later=61)
    assert sending._give_up(row, 1, "NOT_SENT") == "not sent"
    assert phone(carol).unsent is None and not Event.objects.filter(act="code_not_sent").exists()
    queue.drain("test")
    assert len(gateway.asked) == 1 and phone(carol).unsent == 2, "the first was not even tried"


def test_a_code_whose_time_is_over_stays_in(gateway: Gateway, carol: Person) -> None:
    send(carol, later=-301)
    queue.drain("test")
    assert not gateway.asked


@pytest.mark.parametrize("gone", ["retired", "lost", "suspended", "deleted"])
def test_a_device_that_is_gone_gets_nothing(gateway: Gateway, carol: Person, gone: str) -> None:
    send(carol)
    if gone == "deleted":
        phone(carol).delete()
    else:
        assert phone(carol).move(State(gone))
    queue.drain("test")
    assert not gateway.asked and not Event.objects.filter(act="code_not_sent").exists()


def test_an_enrolment_that_was_forgotten_meanwhile_is_not_found(gateway: Gateway, carol: Person) -> None:
    row = phone(carol)
    phone(carol).delete()
    with pytest.raises(Refused) as caught:
        send(carol, device=row)
    assert caught.value.reason is Reason.NOT_FOUND and not DBTaskResult.objects.exists()


def test_a_kind_that_was_switched_off_meanwhile_is_not_sent(gateway: Gateway, carol: Person, settings: Any) -> None:
    send(carol)
    settings.KINDS_OFF = frozenset({"sms"})
    queue.drain("test")
    assert not gateway.asked and phone(carol).unsent == 1
    assert Event.objects.get(act="code_not_sent").reason == "OFF"


def test_a_fault_of_ours_leaves_no_word_of_it_in_the_queue(
    gateway: Gateway, carol: Person, monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: Any
) -> None:
    send(carol)
    settings.KEYRING = {"other": b"0123456789abcdef0123456789abcdef"}
    queue.drain("test")
    [task] = DBTaskResult.objects.all()
    assert task.status == "SUCCESSFUL" and task.return_value == "not sent" and not task.traceback
    assert phone(carol).unsent == 1 and "CannotOpen" in caplog.text


def test_a_mail_goes_out_too(settings: Any) -> None:
    dora = make_person("email")
    with post_office(settings) as office:
        send(dora)
        queue.drain("test")
        [text] = office.texts
    assert oath.at(phone(dora), 1) in text and len(oath.at(phone(dora), 1)) == 8


def test_one_slow_gateway_call_does_not_hold_the_next(gateway: Gateway) -> None:
    people, stopped = [make_person("sms") for _ in range(3)], threading.Event()
    gateway.pause = 1.0
    for person in people:
        send(person)
    threads = [threading.Thread(target=worked, args=(stopped, number), daemon=True) for number in range(4)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    gateway.wait(3)
    assert time.monotonic() - began < 2.5, "side by side"
    stopped.set()
    for thread in threads:
        thread.join()


def test_a_worker_that_is_to_stop_takes_no_other_message(gateway: Gateway) -> None:
    people, stopped = [make_person("sms") for _ in range(3)], threading.Event()
    gateway.pause = 0.5
    for person in people:
        send(person)
    thread = threading.Thread(target=worked, args=(stopped, 1), daemon=True)
    thread.start()
    until(lambda: gateway.asked)
    stopped.set()
    thread.join(5)
    assert not thread.is_alive() and len(gateway.messages) == 1
    assert DBTaskResult.objects.ready().count() == 2
    queue.drain("the next")
    assert len(gateway.messages) == 3


def test_a_fault_ends_no_thread_and_is_told_once(gateway: Gateway, carol: Person, monkeypatch: Any, caplog: Any) -> None:
    looks, drain, stopped = [], queue.drain, threading.Event()

    def broken(name: str, stopped: threading.Event) -> None:
        looks.append(name)
        if len(looks) < 4:
            raise RuntimeError("no")
        drain(name, stopped)

    monkeypatch.setattr(queue, "drain", broken)
    monkeypatch.setattr(queue, "PAUSE", 0.01)
    send(carol)
    with caplog.at_level("INFO", "worker"):
        thread = threading.Thread(target=worked, args=(stopped, 1), daemon=True)
        thread.start()
        gateway.wait(1)
        stopped.set()
        thread.join(5)
    assert [record.levelname for record in caplog.records if record.name == "worker"] == ["ERROR", "INFO"]


def worked(stopped: threading.Event, number: int) -> None:
    queue.work(stopped, number)
    connection.close()


SIX_MESSAGES = """
import uuid
from django.utils import timezone
from accounts.models import User
from devices import sending
from devices.models import Device
for number in range(6):
    user = User.objects.create_user(f"person{number}", "", "a-long-enough-password")
    row = Device(user=user, kind="sms", state="active", address=f"+49151123456{number:02d}")
    row.seed = b"x" * 20
    row.save()
    sending.send(row, uuid.uuid4(), user.uuid, timezone.now())
"""


def test_a_killed_worker_loses_at_most_the_messages_in_its_hands(tmp_path: Path) -> None:
    with running() as gateway:
        gateway.pause = 1.0
        keys = as_setting({"k1": os.urandom(32)})
        service = Service(tmp_path, KEYS=keys, DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3", SMS_URL=gateway.url)
        for command in (["migrate", "-v0"], ["shell", "-c", SIX_MESSAGES]):
            done = service.manage(*command)
            assert done.returncode == 0, done.stderr
        first = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=ROOT, env=service.environment)
        until(lambda: gateway.asked)
        first.kill()
        first.wait()
        assert 1 <= len(gateway.asked) <= 4, "one in the hands of each thread"
        second = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=ROOT, env=service.environment)
        try:
            before = len(gateway.asked)
            until(lambda: len(gateway.asked) >= 6 - (4 - before) or len(gateway.messages) >= 6 - before)
            time.sleep(2)
            to = [message["to"] for message in gateway.messages]
            assert len(set(to)) == len(to) >= 2, "the rest went out, and none of them twice"
        finally:
            second.terminate()
            assert second.wait(5) == 0
