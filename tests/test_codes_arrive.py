"""Codes that are sent, from the sign-in to the gateway or the mailbox and back, and what a bad gateway leaves of them."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import SignIn
from audit.models import Event
from devices import queue, sending
from devices.models import Device
from mfa_site.keyring import token_hash
from tests.authenticators import other_than
from tests.conftest import Api, Person, code_of, make_person
from tests.gateway import Gateway, running
from tests.post_office import post_office
from tests.running import ROOT, Service, as_setting, database_of_this_test
from tests.test_limits import later

pytestmark = pytest.mark.django_db(transaction=True)  # the worker closes connections


class Line:
    """Somebody who asks for codes and reads them, over the API and whatever carries them."""

    def __init__(self, kind: str, api: Api, inbox: Any) -> None:
        self.person = make_person(kind)
        self.api, self.inbox, self.kind = api, inbox, kind

    @property
    def row(self) -> Device:
        found: Device = Device.objects.get(user=self.person.user)
        return found

    def ask(self, handle: str) -> Any:
        return self.api.post("sign-ins/challenge", {"sign_in": handle, "device": str(self.row.uuid)})

    def texts(self) -> list[str]:
        """What arrived, once the worker had its turn."""
        queue.drain("test")
        return [message["text"] for message in self.inbox.messages] if self.kind == "sms" else list(self.inbox.texts)

    def code(self, handle: str) -> str:
        """The code that arrives when it is asked for."""
        before = len(self.texts())
        answer = self.ask(handle)
        assert answer.status_code == 200, answer.content
        [text] = self.texts()[before:]
        found = re.search(r"\b(\d{6}|\d{8})\b", text)
        assert found and found[0] not in answer.content.decode()
        return found[0]

    def answer(self, handle: str, code: str) -> Any:
        return self.api.answer(handle, self.row, code)

    def kept(self, handle: str) -> str:
        return SignIn.objects.get(handle_hash=token_hash(handle)).kept


@contextmanager
def carried(kind: str, settings: Any) -> Iterator[Any]:
    """A real gateway, or a real mail server."""
    if kind == "email":
        with post_office(settings) as office:
            yield office
    else:
        with running() as gateway:
            settings.SMS_URL = gateway.twilio if kind == "twilio" else gateway.url
            yield gateway


@pytest.fixture(params=["sms", "twilio", "email"])
def line(request: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(sending, "AGAIN", 0.05)
    with carried(request.param, settings) as inbox:
        yield Line("email" if request.param == "email" else "sms", Api(), inbox)


def test_the_code_that_arrives_signs_in_once(line: Line) -> None:
    handle = line.api.start(line.person)
    code = line.code(handle)
    answered = line.answer(handle, code)
    assert answered.status_code == 200
    assert Api(answered.json()["access_token"]).get("me").json()["acr"] == ("aal1" if line.kind == "email" else "aal2")
    assert code_of(line.answer(handle, code)) == (401, "sign_in_over")


def test_a_code_of_one_sign_in_works_in_no_other(line: Line) -> None:
    first, second = line.api.start(line.person), line.api.start(line.person)
    code = line.code(first)
    assert code_of(line.answer(second, code)) == (409, "no_challenge")
    with later(61):
        newer = line.code(second)
        assert code != newer
        assert code_of(line.answer(second, code)) == (401, "wrong_answer")
        assert code_of(line.answer(first, newer)) == (401, "wrong_answer")
        assert line.answer(second, newer).status_code == 200
        assert code_of(line.answer(first, code)) == (401, "answer_used"), "what is older than a used one is void"


def test_the_second_sending_voids_the_first(line: Line) -> None:
    handle = line.api.start(line.person)
    first = line.code(handle)
    refused = line.ask(handle)
    assert code_of(refused) == (429, "too_many_attempts") and 55 <= int(refused["Retry-After"]) <= 60
    with later(61):
        second = line.code(handle)
        assert code_of(line.answer(handle, first)) == (401, "wrong_answer")
        assert line.answer(handle, second).status_code == 200


def test_the_fifth_wrong_answer_voids_the_code(line: Line) -> None:
    handle = line.api.start(line.person)
    code = line.code(handle)
    for _ in range(5):
        assert code_of(line.answer(handle, other_than({code}, len(code)))) == (401, "wrong_answer")
    assert code_of(line.answer(handle, code)) == (401, "sign_in_over")


def test_a_fourth_sending_in_one_sign_in_is_refused_and_the_third_code_stays(line: Line) -> None:
    handle = line.api.start(line.person)
    for number in range(3):
        with later(61 * number):
            code = line.code(handle)
    with later(61 * 3):
        assert code_of(line.ask(handle)) == (429, "too_many_attempts")
        assert line.answer(handle, code).status_code == 200


def test_a_dead_gateway_is_told_and_costs_no_attempt(line: Line, settings: Any) -> None:
    handle = line.api.start(line.person)
    address = settings.SMS_URL
    if line.kind == "email":
        line.inbox.close()
    else:
        settings.SMS_URL = "http://a-token@127.0.0.1:1/send"
    assert line.ask(handle).status_code == 200, "the request does not wait for it"
    assert line.texts() == []
    void = line.kept(handle)
    for given in ("123456", "12345678"):
        assert code_of(line.answer(handle, given)) == (503, "unavailable")
    assert (line.row.failures, SignIn.objects.get().wrong) == (0, 0)
    assert set(Event.objects.filter(act="answer_refused").values_list("reason", flat=True)) == {"NOT_SENT"}
    if line.kind == "email":
        line.inbox.open()
    settings.SMS_URL = address
    code = line.code(handle)
    assert line.kept(handle) != void
    assert line.answer(handle, code).status_code == 200, "asked for anew at once"


@pytest.mark.parametrize("line", ["sms", "twilio"], indirect=True)
def test_a_gateway_that_delivers_twice_signs_in_once(line: Line) -> None:
    handle, other = line.api.start(line.person), line.api.start(line.person)
    line.inbox.twice = True
    assert line.ask(handle).status_code == 200
    first, second = line.texts()
    assert first == second
    code = first.rpartition("#")[2]
    assert line.answer(handle, code).status_code == 200
    assert code_of(line.answer(handle, code)) == (401, "sign_in_over")
    assert code_of(line.answer(other, code)) == (409, "no_challenge")
    assert line.row.failures == 0


def test_with_server_and_worker_a_slow_gateway_holds_no_request(tmp_path: Path, settings: Any) -> None:
    """As people run it: the answers of server and worker as processes, a gateway that takes three seconds for each message."""
    people = [make_person("sms") for _ in range(3)]
    with running() as gateway:
        gateway.pause = 3.0
        keys, database = as_setting(settings.KEYRING), database_of_this_test()
        service = Service(tmp_path, KEYS=keys, DATABASE_URL=database, CACHE_URL=settings.CACHE_URL, SMS_URL=gateway.url)
        with service.running():
            worker = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=ROOT, env=service.environment)
            try:
                handles = [begin(service, person) for person in people]
                arrive(gateway, len(people))
                for person, handle in zip(people, handles, strict=True):
                    assert finish(service, gateway, person, handle) == 200
            finally:
                worker.terminate()
                assert worker.wait(5) == 0


def begin(service: Service, person: Person) -> str:
    """The handle of a sign-in whose code was asked for, without waiting for the gateway."""
    names = {"username": person.user.username, "password": person.password}
    status, body = service.call("POST", "/api/v1/sign-ins", names)
    assert status == 201, body
    began = time.monotonic()
    asked = {"sign_in": body["sign_in"], "device": str(Device.objects.get(user=person.user).uuid)}
    assert service.call("POST", "/api/v1/sign-ins/challenge", asked)[0] == 200
    assert time.monotonic() - began < 1.5
    return str(body["sign_in"])


def arrive(gateway: Gateway, count: int) -> None:
    """So many messages are there, side by side."""
    began = timezone.now()
    gateway.wait(count, 20)
    assert (timezone.now() - began).total_seconds() < 3 * count - 1


def finish(service: Service, gateway: Gateway, person: Person, handle: str) -> int:
    """The status of the answer with the code that arrived."""
    row = Device.objects.get(user=person.user)
    [text] = [message["text"] for message in gateway.messages if message["ref"].startswith(str(row.uuid))]
    given = {"sign_in": handle, "device": str(row.uuid), "answer": text.rpartition("#")[2]}
    return service.call("POST", "/api/v1/sign-ins/answer", given)[0]
