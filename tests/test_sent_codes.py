"""Codes by SMS and e-mail over the API, through the queue to a real gateway and a real mail server, and back."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import signin
from accounts.models import SignIn
from audit.models import Event
from devices import queue
from devices.models import DISABLE_AT, Device
from tests.authenticators import Inbox
from tests.conftest import Api, Person, code_of, make_person
from tests.gateway import Gateway
from tests.post_office import PostOffice

pytestmark = pytest.mark.django_db(transaction=True)  # the worker closes connections


def ask(api: Api, handle: str, device: Device, *, soon: bool = False) -> Any:
    """`POST sign-ins/challenge`, as if the last code were a minute old, unless `soon`."""
    if not soon:
        Device.objects.filter(pk=device.pk).update(sent_at=None)
    return api.post("sign-ins/challenge", {"sign_in": handle, "device": str(device.uuid)})


def received(gateway: Gateway) -> str:
    """The code in the message that came last, once the queue is empty."""
    queue.drain("test")
    found = re.search(r"\n@localhost #(\d+)\Z", gateway.messages[-1]["text"])
    assert found
    return found[1]


def mailed(office: PostOffice) -> str:
    """The code in the mail that came last."""
    queue.drain("test")
    found = re.search(r"\b\d{8}\b", office.texts[-1])
    assert found
    return found[0]


def phone(person: Person) -> Device:
    row: Device = Device.objects.get(user=person.user, kind="sms")
    return row


def begun(person: Person, gateway: Gateway) -> tuple[Api, str, str]:
    """A client, the handle of a sign-in, and the code that came for it."""
    api = Api()
    handle = api.start(person)
    answer = ask(api, handle, phone(person))
    assert answer.status_code == 200 and answer.json()["sent_to"] == "+49 ••• 78"
    return api, handle, received(gateway)


# ---- for one sign-in, once -------------------------------------------------------------------------------------------


def test_the_code_that_came_signs_in_once(gateway: Gateway, carol: Person) -> None:
    api, handle, code = begun(carol, gateway)
    assert gateway.messages[-1]["to"] == phone(carol).address
    granted = api.answer(handle, phone(carol), f"{code[:3]} {code[3:]}")
    assert granted.status_code == 200
    assert code_of(api.answer(api.start(carol), phone(carol), code)) == (409, "no_challenge")
    assert phone(carol).failures == 0


def test_a_code_of_one_sign_in_works_in_no_other(gateway: Gateway, carol: Person) -> None:
    api, first, one = begun(carol, gateway)
    _, second, two = begun(carol, gateway)
    assert one != two
    assert code_of(api.answer(second, phone(carol), one)) == (401, "wrong_answer")
    assert code_of(api.answer(first, phone(carol), two)) == (401, "wrong_answer")
    assert api.answer(second, phone(carol), two).status_code == 200
    assert code_of(api.answer(first, phone(carol), one)) == (401, "answer_used"), "an older one than the last that was accepted"
    assert phone(carol).failures == 0


def test_the_second_sending_voids_the_first(gateway: Gateway, carol: Person) -> None:
    api, handle, first = begun(carol, gateway)
    assert ask(api, handle, phone(carol)).status_code == 200
    second = received(gateway)
    assert code_of(api.answer(handle, phone(carol), first)) == (401, "wrong_answer")
    assert api.answer(handle, phone(carol), second).status_code == 200


def test_the_fifth_wrong_answer_voids_the_code(gateway: Gateway, carol: Person) -> None:
    api, handle, code = begun(carol, gateway)
    wrong = "000000" if code != "000000" else "000001"
    for _ in range(4):
        assert code_of(api.answer(handle, phone(carol), wrong)) == (401, "wrong_answer")
    assert SignIn.objects.get().kept.startswith("1."), "until then it stays"
    assert code_of(api.answer(handle, phone(carol), wrong)) == (401, "wrong_answer")
    assert SignIn.objects.get().kept == ""
    assert code_of(api.answer(handle, phone(carol), code)) == (401, "sign_in_over")
    Device.objects.update(failures=0, paused_until=None)
    assert code_of(api.answer(handle, phone(carol), code)) == (401, "sign_in_over")
    assert code_of(api.answer(api.start(carol), phone(carol), code)) == (409, "no_challenge")


def test_a_code_dies_with_its_sign_in(gateway: Gateway, carol: Person) -> None:
    api, handle, code = begun(carol, gateway)
    SignIn.objects.update(expires_at=timezone.now())
    assert code_of(api.answer(handle, phone(carol), code)) == (401, "sign_in_over")
    assert phone(carol).failures == 0


def test_no_code_is_answered_before_one_was_asked_for(gateway: Gateway, carol: Person) -> None:
    api = Api()
    handle = api.start(carol)
    assert code_of(api.answer(handle, phone(carol), carol.held["sms"].hotp.at(1))) == (409, "no_challenge")
    assert code_of(api.answer(handle, phone(carol), carol.held["sms"].hotp.at(0))) == (409, "no_challenge")
    assert phone(carol).failures == 0 and not gateway.messages


def test_a_second_phone_is_not_answered_with_the_number_kept_for_the_first(gateway: Gateway, carol: Person) -> None:
    other = make_person("sms")
    Device.objects.filter(user=other.user).update(user=carol.user, address="+4915112345679")
    first, second = carol.held["sms"].device, other.held["sms"].device
    api = Api()
    handle = api.start(carol)
    assert ask(api, handle, first).status_code == 200
    code = received(gateway)
    assert code_of(api.answer(handle, second, other.held["sms"].hotp.at(1))) == (409, "no_challenge")
    assert ask(api, handle, second).status_code == 200, "its own code has the same number"
    assert code_of(api.answer(handle, second, code)) == (401, "wrong_answer")
    assert code_of(api.answer(handle, first, code)) == (409, "no_challenge"), "the first one's is gone"
    assert api.answer(handle, second, received(gateway)).status_code == 200


def test_another_device_answers_while_a_code_is_on_its_way(gateway: Gateway) -> None:
    person = make_person("totp", "sms")
    api, handle, _code = begun(person, gateway)
    assert api.answer(handle, person.app, person.code()).status_code == 200


# ---- asking again ----------------------------------------------------------------------------------------------------


def test_too_soon_for_another_says_when_and_leaves_the_first_good(gateway: Gateway, carol: Person) -> None:
    api, handle, code = begun(carol, gateway)
    Device.objects.update(sent_at=timezone.now())
    refused = ask(api, handle, phone(carol), soon=True)
    assert code_of(refused) == (429, "too_many_attempts") and 55 <= int(refused["Retry-After"]) <= 61
    assert ask(api, api.start(carol), phone(carol), soon=True).status_code == 429, "in another sign-in too"
    queue.drain("test")
    assert len(gateway.messages) == 1
    assert api.answer(handle, phone(carol), code).status_code == 200


def test_three_in_a_sign_in(gateway: Gateway, carol: Person) -> None:
    api, handle, _code = begun(carol, gateway)
    assert [ask(api, handle, phone(carol)).status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(api, handle, phone(carol))
    assert code_of(refused) == (429, "too_many_attempts") and 0 < int(refused["Retry-After"]) <= 600
    assert api.answer(handle, phone(carol), received(gateway)).status_code == 200, "the last one that went out is good"


def test_a_code_to_add_a_phone_is_counted_with_the_others(gateway: Gateway) -> None:
    person = make_person("totp")
    api = Api(Api().sign_in(person)["access_token"])
    answers = [api.post("devices", {"kind": "sms", "address": "+49 151 12345678"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [201] * 5 + [429]


# ---- a failed sending ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 500])
def test_what_was_not_sent_is_unavailable_for_right_and_wrong_alike(gateway: Gateway, carol: Person, status: int) -> None:
    api, gateway.status = Api(), status
    handle = api.start(carol)
    assert ask(api, handle, phone(carol)).status_code == 200, "the request does not wait for the gateway"
    queue.drain("test")
    code = carol.held["sms"].received(handle)
    for given in (code, "000000" if code != "000000" else "000001", "no digits", ""):
        answer = api.answer(handle, phone(carol), given)
        assert code_of(answer) == (503, "unavailable") and int(answer["Retry-After"]) > 0
    assert phone(carol).failures == 0 and SignIn.objects.get().wrong == 0
    event = Event.objects.get(act="code_not_sent")
    assert (event.person, event.device) == (carol.user.uuid, phone(carol).uuid)
    gateway.status = 200
    assert ask(api, handle, phone(carol), soon=True).status_code == 200, "another one at once"
    assert api.answer(handle, phone(carol), received(gateway)).status_code == 200


def test_without_a_sender_it_is_neither_asked_nor_added(gateway: Gateway, settings: Any, nora: Person) -> None:
    person = make_person("totp", "sms")
    settings.KINDS_OFF = frozenset({"sms"})
    api = Api()
    assert code_of(ask(api, api.start(person), phone(person))) == (409, "device_not_usable")
    bearer = Api(Api().sign_in(person)["access_token"])
    body = {"kind": "sms", "address": "+4915112345678"}
    assert code_of(bearer.post("devices", body)) == (400, "malformed")
    assert code_of(api.post("sign-ins/enrol", {"sign_in": api.start(nora), **body})) == (400, "malformed")
    queue.drain("test")
    assert not gateway.messages


# ---- adding one ------------------------------------------------------------------------------------------------------


def test_a_phone_is_added_by_the_code_that_comes_to_it(gateway: Gateway, alice: Person) -> None:
    api = Api(Api().sign_in(alice)["access_token"])
    shown = api.post("devices", {"kind": "sms", "address": " +49 (151) 1234-5678 ", "name": "Old phone"})
    assert shown.status_code == 201, shown.content
    assert set(shown.json()) == {"device", "expires_in", "sent_to"} and shown.json()["sent_to"] == "+49 ••• 78"
    path = f"devices/{shown.json()['device']['uuid']}/confirm"
    code = received(gateway)
    assert gateway.messages[-1]["to"] == "+4915112345678"
    assert code_of(api.post(path, {"answer": "000000" if code != "000000" else "000001"})) == (401, "wrong_answer")
    row = api.post(path, {"answer": code})
    assert row.status_code == 200
    assert (row.json()["state"], row.json()["name"], row.json()["sent_to"]) == ("active", "Old phone", "+49 ••• 78")
    assert code_of(api.post(path, {"answer": code})) == (404, "not_found")
    assert phone(alice).counter == 1, "and is used up"
    _, handle, code = begun(alice, gateway)
    assert Api().answer(handle, phone(alice), code).status_code == 200


@pytest.mark.parametrize(
    "address", ["", "0151 12345678", "+49", "+4930901820", "carol@example.org", "+49" + "1" * 5000, "+٤٩١"]
)
def test_what_is_no_mobile_number_is_malformed_and_leaves_nothing(gateway: Gateway, alice: Person, address: str) -> None:
    answer = Api(Api().sign_in(alice)["access_token"]).post("devices", {"kind": "sms", "address": address})
    assert code_of(answer) == (400, "malformed")
    queue.drain("test")
    assert Device.objects.count() == 1 and not gateway.messages


@pytest.mark.parametrize(
    "address", ["", "carol", "carol@", "a@b@c.example", "+4915112345678", "x" * 300 + "@example.org", "a\n@b.org"]
)
def test_what_is_no_mail_address_is_malformed(office: PostOffice, alice: Person, address: str) -> None:
    answer = Api(Api().sign_in(alice)["access_token"]).post("devices", {"kind": "email", "address": address})
    assert code_of(answer) == (400, "malformed")
    assert Device.objects.count() == 1


def test_a_new_person_begins_with_a_phone(gateway: Gateway, nora: Person) -> None:
    api = Api()
    handle = api.start(nora)
    shown = api.post("sign-ins/enrol", {"sign_in": handle, "kind": "sms", "address": "+4915112345678"}).json()
    body = {"sign_in": handle, "device": shown["device"]["uuid"], "answer": received(gateway)}
    me = Api(api.post("sign-ins/enrol/confirm", body).json()["access_token"]).get("me").json()
    assert (me["amr"], me["acr"]) == (["pwd", "sms", "mfa"], "aal2")


def test_a_new_person_begins_with_mail_and_is_weakly_signed_in(office: PostOffice, nora: Person) -> None:
    api = Api()
    handle = api.start(nora)
    shown = api.post("sign-ins/enrol", {"sign_in": handle, "kind": "email", "address": "nora@example.org"}).json()
    assert shown["sent_to"] == "n•••@example.org"
    code = mailed(office)
    assert office.mails[-1]["To"] == "nora@example.org"
    body = {"sign_in": handle, "device": shown["device"]["uuid"], "answer": code}
    me = Api(api.post("sign-ins/enrol/confirm", body).json()["access_token"]).get("me").json()
    assert (me["amr"], me["acr"]) == (["pwd", "email"], "aal1")


# ---- what e-mail is worth --------------------------------------------------------------------------------------------


def by_mail(person: Person, way: str) -> Api:
    """The person's client, signed in with a code by mail."""
    api = Api()
    if way == "session":
        api.take_csrf()
        api.sign_in(person, "email", grant="session")
    else:
        api.bearer = api.sign_in(person, "email")["access_token"]
    return api


WAYS = pytest.mark.parametrize("way", ["session", "token"])


@WAYS
def test_who_has_nothing_stronger_may_add_something_and_change_nothing(office: PostOffice, way: str) -> None:
    person = make_person("email")
    api, row = by_mail(person, way), person.held["email"].device
    for path in ("me", "devices", "sessions", f"devices/{row.uuid}"):
        assert api.get(path).status_code == 200, path
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        refused = api.call(method, f"devices/{row.uuid}", body)
        assert code_of(refused) == (401, "step_up_needed")
        needed = 'Bearer error="insufficient_user_authentication", acr_values="aal2 phr phrh", max_age=300'
        assert refused["WWW-Authenticate"] == needed
    begun = api.post("devices", {"kind": "fido2"})
    assert begun.status_code == 201
    assert api.call("DELETE", "sessions").status_code == 204


@WAYS
def test_who_has_something_stronger_has_to_use_it(office: PostOffice, way: str) -> None:
    person = make_person("totp", "email")
    api = by_mail(person, way)
    for path, body in (("devices", {"kind": "totp"}), ("recovery-codes", {}), (f"devices/{person.app.uuid}/lost", {})):
        assert code_of(api.post(path, body)) == (401, "step_up_needed"), path
    handle = api.post("step-ups").json()["sign_in"]
    renewed = api.answer(handle, person.app, person.code())
    assert renewed.status_code == 200
    if way == "token":
        api.bearer = renewed.json()["access_token"]
    assert api.post("devices", {"kind": "totp"}).status_code == 201


@pytest.mark.parametrize("why", ["lost", "suspended"])
def test_a_stronger_device_that_cannot_answer_does_not_lock_its_owner_out(office: PostOffice, why: str) -> None:
    person = make_person("totp", "email")
    Device.objects.filter(pk=person.app.pk).update(state=why)
    assert by_mail(person, "token").post("devices", {"kind": "totp"}).status_code == 201


def test_wrong_answers_to_a_stronger_device_do_not_open_the_account_to_the_mailbox(office: PostOffice) -> None:
    person, api = make_person("totp", "email"), Api()
    for _attempt in range(DISABLE_AT):  # by whoever knows the password; the pauses between are no more than a night
        api.answer(api.start(person), person.app, person.wrong_code())
        Device.objects.filter(pk=person.app.pk).update(paused_until=None, held_until=None)
    assert Device.objects.get(pk=person.app.pk).is_disabled
    browser = by_mail(person, "session")
    assert code_of(browser.post("devices", {"kind": "totp"})) == (401, "step_up_needed")
    page = browser.client.get("/account/devices/add/", follow=True)
    assert page.status_code == 403 and "Ask your administrator for a temporary code." in page.content.decode()


def test_a_step_up_by_mail_makes_a_strong_session_a_weak_one(office: PostOffice) -> None:
    person = make_person("totp", "email")
    api = Api(Api().sign_in(person)["access_token"])
    handle, held = api.post("step-ups").json()["sign_in"], person.held["email"]
    assert isinstance(held, Inbox)
    renewed = Api(api.answer(handle, held.device, api.right(handle, held)).json()["access_token"])
    assert renewed.get("me").json()["acr"] == "aal1", "what was proven now, never what was proven once"
    assert code_of(renewed.post("devices", {"kind": "totp"})) == (401, "step_up_needed")


def test_a_code_by_mail_has_eight_digits_and_lives_as_long_as_its_sign_in(office: PostOffice) -> None:
    person, api = make_person("email"), Api()
    handle, row = api.start(person), person.held["email"].device
    challenge = ask(api, handle, row).json()
    assert challenge["sent_to"] == "p•••@example.org" and 290 < challenge["expires_in"] <= 300
    code = mailed(office)
    SignIn.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert code_of(api.answer(handle, row, code)) == (401, "sign_in_over")


def test_a_code_ends_after_five_minutes_though_the_sign_in_was_kept_alive(carol: Person, api: Api) -> None:
    held, handle = carol.held["sms"], api.start(carol)
    code = held.right(handle, lambda: api.post("sign-ins/challenge", {"sign_in": handle, "device": str(held.device.uuid)}))
    row = SignIn.objects.get()
    number, until = row.kept.split(".")
    SignIn.objects.update(kept=f"{number}.{int(until) - 301}")
    assert code_of(api.answer(handle, held.device, code)) == (409, "no_challenge")
    held.device.refresh_from_db()
    assert held.device.failures == 0
    SignIn.objects.update(kept=row.kept)
    assert api.answer(handle, held.device, code).status_code == 200


def test_a_look_at_another_device_loses_no_code(gateway: Gateway, api: Api) -> None:
    person = make_person("sms", "totp")
    held, handle = person.held["sms"], api.start(person)
    assert isinstance(held, Inbox)
    assert ask(api, handle, held.device).status_code == 200
    code = held.received(handle)
    sign_in, now = SignIn.objects.select_related("user").get(), timezone.now()
    signin.choose(sign_in, person.app.uuid, now, again=False)
    assert SignIn.objects.get().kept == ""
    assert code_of(api.answer(handle, held.device, code)) == (409, "no_challenge"), "not while another is chosen"
    signin.choose(sign_in, held.device.uuid, now, again=False)
    assert Device.objects.get(pk=held.device.pk).sent == 1, "no other is sent"
    assert api.answer(handle, held.device, code).status_code == 200
