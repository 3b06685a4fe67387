"""What holds for a device of any kind, over the API: one suite, walked by every kind.

`KINDS` names what a person holds; hardware is the same kind with a serial.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import SignIn
from audit.models import Event
from devices import kinds, sending
from devices.lifecycle import State
from devices.models import Device, Kind
from grants.models import RefreshFamily
from tests.authenticators import Authenticator, Inbox
from tests.conftest import Api, Person, code_of, make_person

pytestmark = pytest.mark.django_db

# What is held: what a sign-in with it is worth.
KINDS: dict[str, tuple[list[str], str]] = {
    "totp": (["pwd", "otp", "swk", "mfa"], "aal2"),
    "hardware_totp": (["pwd", "otp", "hwk", "mfa"], "aal2"),
    "hotp": (["pwd", "otp", "swk", "mfa"], "aal2"),
    "hardware_hotp": (["pwd", "otp", "hwk", "mfa"], "aal2"),
    "sms": (["pwd", "sms", "mfa"], "aal2"),
    "email": (["pwd", "email"], "aal1"),
    "fido2": (["pwd", "hwk", "mfa"], "phr"),
    "yubiotp": (["pwd", "otp", "hwk", "mfa"], "aal2"),
    "recovery": (["pwd", "rc", "mfa"], "aal2"),
    "temporary": (["pwd", "tmp"], "aal1"),
}
UNAVAILABLE_WITHOUT_KEYS = sorted(set(KINDS) - {"fido2", "recovery", "temporary"})  # those have no sealed secret


@dataclass
class Case:
    """Somebody with one device, and a sign-in of theirs."""

    kind: str
    person: Person
    api: Api

    @property
    def held(self) -> Authenticator:
        held: Authenticator = self.person.held[self.kind]
        return held

    @property
    def row(self) -> Device:
        """The device as it is in the database now."""
        found: Device = Device.objects.get(pk=self.held.device.pk)
        return found

    def start(self) -> str:
        return self.api.start(self.person)

    def right(self, handle: str) -> Any:
        return self.api.right(handle, self.held)

    def wrong(self, handle: str) -> Any:
        return self.api.wrong(handle, self.held)

    def answer(self, handle: str, given: Any) -> Any:
        return self.api.answer(handle, self.held.device, given)

    def more_uses(self) -> None:
        """A temporary code opens more than once."""
        Device.objects.filter(pk=self.held.device.pk, kind=Kind.TEMPORARY).update(uses_left=9)

    def listed(self) -> list[str]:
        """The devices that a new sign-in offers."""
        body = {"username": self.person.user.username, "password": self.person.password}
        return [row["uuid"] for row in self.api.post("sign-ins", body).json()["devices"]]


@pytest.fixture(params=KINDS)
def case(request: Any, db: None) -> Case:
    return Case(request.param, make_person(request.param), Api())


def test_every_kind_is_here() -> None:
    assert {kind.removeprefix("hardware_") for kind in KINDS} == set(Kind.values)


def test_a_right_answer_signs_in_for_what_it_is_worth(case: Case) -> None:
    assert case.listed() == [str(case.held.device.uuid)]
    handle = case.start()
    granted = case.answer(handle, case.right(handle))
    assert granted.status_code == 200, granted.content
    me = Api(granted.json()["access_token"]).get("me").json()
    assert (me["amr"], me["acr"]) == KINDS[case.kind]
    assert (case.row.failures, case.row.last_used_at is not None) == (0, True)
    event = Event.objects.get(act="signed_in")
    assert (event.person, event.device, event.about["kind"]) == (case.person.user.uuid, case.row.uuid, case.row.kind)


def test_the_same_answer_signs_in_once(case: Case) -> None:
    first, second = case.start(), case.start()
    given = case.right(first)
    assert case.answer(first, given).status_code == 200
    assert code_of(case.answer(first, given)) == (401, "sign_in_over")
    if case.row.kind in (Kind.SMS, Kind.EMAIL, Kind.FIDO2):  # what is answered belongs to one sign-in
        assert code_of(case.answer(second, given)) == (409, "no_challenge")
    else:
        assert code_of(case.answer(second, given)) == (401, "answer_used")
    assert case.row.failures == 0 and case.row.paused_until is None


def test_a_wrong_answer_is_counted_and_a_right_one_forgets_it(case: Case) -> None:
    handle = case.start()
    assert code_of(case.answer(handle, case.wrong(handle))) == (401, "wrong_answer")
    assert case.row.failures == 1
    assert SignIn.objects.latest("id").wrong == 1
    assert Event.objects.latest("id").act == "answer_refused"
    assert case.answer(handle, case.right(handle)).status_code == 200
    assert case.row.failures == 0


def test_five_wrong_answers_end_the_sign_in_and_pause_the_device(case: Case) -> None:
    handle, other = case.start(), case.start()
    for _ in range(5):
        assert code_of(case.answer(handle, case.wrong(handle))) == (401, "wrong_answer")
    assert code_of(case.answer(handle, "123456")) == (401, "sign_in_over")
    for call in ("challenge", "answer"):
        body = {"sign_in": other, "device": str(case.held.device.uuid)}
        given = {} if call == "challenge" else {"answer": kinds.module(case.row.kind).ANSWER()}
        paused = case.api.post(f"sign-ins/{call}", body | given)
        assert code_of(paused) == (429, "too_many_attempts") and 0 < int(paused["Retry-After"]) <= 30
    assert case.row.failures == 5 and case.listed() == []
    Device.objects.update(paused_until=timezone.now() - timedelta(seconds=1))
    assert case.answer(other, case.right(other)).status_code == 200, "it comes back by itself"


def test_somebody_elses_device_is_not_found(case: Case, mallory: Person) -> None:
    handle, own = case.api.start(mallory), case.start()
    given = case.right(own)
    body = {"sign_in": handle, "device": str(case.held.device.uuid)}
    assert code_of(case.api.post("sign-ins/challenge", body)) == (404, "not_found")
    assert code_of(case.answer(handle, given)) == (404, "not_found")
    assert case.row.failures == 0
    assert case.answer(own, given).status_code == 200, "and its answer is as good as before"


def test_the_other_json_type_is_malformed_and_counts_nothing(case: Case) -> None:
    handle = case.start()
    given = case.right(handle)
    others: list[Any] = ["123456"] if isinstance(given, dict) else [{}, {"code": given}]
    for wrong_type in [*others, 123456, True, None, [given]]:
        assert code_of(case.answer(handle, wrong_type)) == (400, "malformed")
    assert case.row.failures == 0
    assert case.answer(handle, given).status_code == 200, "nothing was taken by it"


JUNK = [
    "",
    " ",
    "x",
    "-" * 60_000,
    "1" * 60_000,
    "c" * 44,
    "٣" * 6,
    "\u202e123456",
    "1e5",
    "½" * 6,
    "' OR 1=1 --",
    "\ud7ff" * 8,
]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"fido2"}))  # a key is answered by objects: test_bad_input.py
def test_any_other_text_is_a_wrong_answer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "BY_PERSON", len(JUNK) + 5)
    case = Case(kind, make_person(kind), Api())
    for number, junk in enumerate(JUNK):
        if number % 4 == 0:  # the fifth would end the sign-in
            handle = case.start()
            case.right(handle)
        Device.objects.update(failures=0)
        assert code_of(case.answer(handle, junk)) == (401, "wrong_answer"), ascii(junk)
        assert case.row.failures == 1


NOW_OFF: dict[str, dict[str, Any]] = {
    "suspended": {"state": State.SUSPENDED},
    "lost": {"state": State.LOST},
    "retired": {"state": State.RETIRED},
    "switched off": {"failures": 50},
    "expired": {"valid_until": timezone.now() - timedelta(seconds=1)},
    "not yet valid": {"valid_from": timezone.now() + timedelta(hours=1)},
}


@pytest.mark.parametrize("why", NOW_OFF)
def test_a_device_that_may_not_answer_is_not_usable_nor_listed(case: Case, why: str) -> None:
    handle = case.start()
    given = case.right(handle)
    before = case.row.failures
    Device.objects.filter(pk=case.row.pk).update(**NOW_OFF[why])
    body = {"sign_in": handle, "device": str(case.held.device.uuid)}
    assert code_of(case.answer(handle, given)) == (409, "device_not_usable")
    assert code_of(case.api.post("sign-ins/challenge", body)) == (409, "device_not_usable")
    assert case.listed() == []
    assert case.row.failures == NOW_OFF[why].get("failures", before)


def test_a_kind_that_is_off_is_not_usable_nor_listed(case: Case, settings: Any) -> None:
    handle = case.start()
    given, on = case.right(handle), settings.KINDS_OFF
    settings.KINDS_OFF = frozenset({case.row.kind})
    body = {"sign_in": handle, "device": str(case.held.device.uuid)}
    assert code_of(case.answer(handle, given)) == (409, "device_not_usable")
    assert code_of(case.api.post("sign-ins/challenge", body)) == (409, "device_not_usable")
    assert case.listed() == [] and case.row.failures == 0
    settings.KINDS_OFF = on
    assert case.answer(handle, given).status_code == 200


@pytest.mark.parametrize("kind", UNAVAILABLE_WITHOUT_KEYS)
def test_a_missing_key_is_our_fault_and_counts_nothing(kind: str, settings: Any) -> None:
    case = Case(kind, make_person(kind), Api())
    Api().sign_in(make_person("totp"))  # the signing key is open
    handle, ring = case.start(), settings.KEYRING
    right, wrong = case.right(handle), case.wrong(handle)
    settings.KEYRING = {"k2": os.urandom(32)}
    for given in (right, wrong) * 3:
        assert code_of(case.answer(handle, given)) == (503, "unavailable")
    assert case.row.failures == 0 and SignIn.objects.latest("id").wrong == 0
    settings.KEYRING = ring
    assert case.answer(handle, right).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_removed_device_takes_what_it_opened_with_it(kind: str) -> None:
    case = Case(kind, make_person("fido2", kind), Api())
    with_key = Person(case.person.user, case.person.password)
    with_key.keys = case.person.keys[:1]
    opened = Api(case.api.sign_in(case.person, kind)["access_token"])
    remover = Api(Api().sign_in(with_key)["access_token"])
    assert opened.post("step-ups").status_code == 201
    assert remover.call("DELETE", f"devices/{case.row.uuid}").status_code == 204
    assert code_of(opened.post("step-ups")) == (401, "not_signed_in")
    assert RefreshFamily.objects.get(device=case.row.uuid).ended_for == "device_removed"
    assert case.row.state == (State.IN_STOCK if case.row.serial else State.RETIRED)
    assert (case.row.address, case.row.secret_hash) == ("", "")
    assert code_of(remover.get(f"devices/{case.row.uuid}")) == (404, "not_found")
    assert str(case.row.uuid) not in case.listed()


def test_it_answers_a_step_up(case: Case) -> None:
    case.more_uses()
    api = Api(case.api.sign_in(case.person, case.kind)["access_token"])
    handle = api.post("step-ups").json()["sign_in"]
    assert code_of(api.answer(handle, case.held.device, api.wrong(handle, case.held))) == (401, "wrong_answer")
    renewed = api.answer(handle, case.held.device, api.right(handle, case.held))
    assert renewed.status_code == 200, renewed.content
    me = Api(renewed.json()["access_token"]).get("me").json()
    assert (me["amr"], me["acr"]) == KINDS[case.kind]
    assert code_of(Api().answer(handle, case.held.device, "1")) == (401, "sign_in_over"), "to nobody else"


def test_it_can_be_tried_out_unless_it_only_stands_in(case: Case) -> None:
    case.more_uses()
    api, page = Api(), f"/account/devices/{case.row.uuid}/test/"
    api.take_csrf()
    api.sign_in(case.person, case.kind, grant="session")
    csrf = {"X-CSRFToken": api.csrf}
    if isinstance(case.held, Inbox):
        case.held.minute_later()
    begun = api.client.post(page, headers=csrf)
    if kinds.module(case.row.kind).STANDS_IN:
        assert begun["Location"] == f"/account/devices/{case.row.uuid}/", "it would only be used up"
        return
    assert begun.status_code == 302 and begun["Location"].startswith(page)
    shown = api.client.get(begun["Location"])
    test = SignIn.objects.get(purpose="test")
    assert (shown.status_code, test.device) == (200, case.row)
    if case.row.kind != Kind.FIDO2:  # test_try_out.py reads a key's challenge off the page
        given = case.held.code(test) if isinstance(case.held, Inbox) else case.held.right("", lambda: None)
        for expected in (302, 302):  # a second click leads to where the first one led
            assert api.client.post(begun["Location"], {"code": given}, headers=csrf).status_code == expected
        test.refresh_from_db()
        assert test.state == SignIn.State.FINISHED and Event.objects.filter(act="device_tested").count() == 1


def test_it_answers_for_no_other_device_of_the_person(case: Case) -> None:
    other = make_person("totp" if case.row.kind != Kind.TOTP else "hotp")
    Device.objects.filter(user=other.user).update(user=case.person.user)
    row = next(iter(other.held.values())).device
    handle = case.start()
    given = case.right(handle)
    expected = (400, "malformed") if isinstance(given, dict) else (401, "wrong_answer")
    assert code_of(case.api.answer(handle, row, given)) == expected
    assert case.row.failures == 0
