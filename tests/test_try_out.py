"""Trying out one's own devices: counted and used up as in a sign-in, and nothing follows from it."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts import signin, try_out
from accounts.models import BrowserSession, SignIn
from accounts.words import it_works
from audit.models import Event
from devices import oath
from devices.kinds import Proof, totp
from devices.models import Device
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.site import this_site
from tests.conftest import Api, Person, code_of, make_person
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db


def page_of(device: Device) -> str:
    return f"/account/devices/{device.uuid}/"


def signed_in(person: Person) -> Browser:
    """The person's browser, signed in with the app; the code of now counts as not used yet."""
    browser = Browser().password(person)
    browser.go(f"/sign-in/{browser.at.split('/')[2]}/{person.app.uuid}/").send(code=person.code())
    assert browser.at == "/account/"
    Device.objects.filter(kind="totp").update(counter=-1)
    return browser


def begun(person: Person, device: Device | None = None) -> Browser:
    """At the test of the device, of the app where none is named."""
    row = device or person.app
    browser = signed_in(person).go(page_of(row))
    assert "Test this device" in browser.text
    browser.send(page_of(row) + "test/")
    assert re.fullmatch(page_of(row) + "test/[0-9a-f-]{36}/", browser.at), browser.at
    return browser


def answer_with_key(browser: Browser, person: Person) -> Browser:
    found = re.search('<script id="webauthn-options" type="application/json">(.+?)</script>', browser.text)
    assert found
    return browser.send(response=json.dumps(person.soft_key.get(json.loads(found.group(1)))))


def failures(device: Device) -> int:
    return int(Device.objects.get(pk=device.pk).failures)


# ---- what is right ---------------------------------------------------------------------------------------------------


def test_a_right_code_is_used_up_and_the_session_stays_as_it_was(alice: Person) -> None:
    browser = begun(alice)
    same = ("uuid", "value_hash", "device", "amr", "acr", "auth_time", "renewed_at", "expires_at")
    [before] = BrowserSession.objects.exclude(person=None).values_list(*same)
    cookie = browser.client.cookies["session"].value
    Device.objects.update(failures=2)
    browser.send(code=alice.code())
    assert browser.at == page_of(alice.app) and "It works. “Authenticator app” gave the right answer." in browser.text
    assert list(BrowserSession.objects.exclude(person=None).values_list(*same)) == [before]
    assert browser.client.cookies["session"].value == cookie
    assert failures(alice.app) == 0
    assert SignIn.objects.get(purpose="test").state == SignIn.State.FINISHED
    event = Event.objects.latest("id")
    assert (event.act, event.device, event.sid) == ("device_tested", alice.app.uuid, before[0])
    assert "“Authenticator app” was tried out" in browser.go("/account/activity/").text


def test_a_code_that_was_tested_signs_nobody_in_and_one_that_signed_in_is_no_test(alice: Person) -> None:
    code = alice.code()  # one and the same, also where its time ends meanwhile
    begun(alice).send(code=code)
    other = Browser().password(alice).send(code=code)
    assert "already used" in other.text and other.status == 401
    Device.objects.update(counter=-1)
    other.send(code=code)
    other.go(page_of(alice.app)).send(page_of(alice.app) + "test/").send(code=code)
    assert other.status == 401 and "already used" in other.text and failures(alice.app) == 0


def test_a_key_is_touched_and_its_signature_counter_kept() -> None:
    person = make_person("totp", "fido2")
    Device.objects.filter(pk=person.key.pk).update(transports=["usb"])
    browser = begun(person, person.key)
    counter = person.key.counter
    answer_with_key(browser, person)
    assert browser.at == page_of(person.key) and "It works." in browser.text and "Connected by: USB." in browser.text
    assert Device.objects.get(pk=person.key.pk).counter > counter


def test_a_stale_proof_will_do_and_is_as_stale_afterwards(alice: Person) -> None:
    browser = signed_in(alice)
    BrowserSession.objects.exclude(person=None).update(auth_time=timezone.now() - timedelta(hours=1))
    browser.go(page_of(alice.app)).send(page_of(alice.app) + "test/").send(code=alice.code())
    assert "It works." in browser.text
    assert browser.go("/account/devices/add/").at.startswith("/confirm/")


@pytest.mark.parametrize(
    ("moment", "step", "said"),
    [
        (1_000_005, 33_333, None),
        (1_000_019, 33_333, None),
        (1_000_005, 33_334, "Its clock is at least 15 seconds ahead."),
        (1_000_021, 33_333, "Its code had ended 2 seconds before: if you were quick, its clock is behind."),
        (1_000_049, 33_333, "Its code had ended 30 seconds before"),
    ],
)
def test_what_a_code_tells_of_the_clock(alice: Person, moment: int, step: int, said: str | None) -> None:
    now = datetime.fromtimestamp(moment, UTC)
    code = oath.at(alice.app, step)
    told = it_works(alice.app, totp.verify(alice.app, code, "", this_site(), now))
    assert told.startswith("It works.")
    assert (said or "right answer.") in told and ("clock" in told) == bool(said)
    assert ("Let your phone set its clock by itself." in told) == bool(said)


def test_what_is_said_of_a_key_is_what_is_known_of_it(bob: Person) -> None:
    def said(transports: list[str], proof: Proof) -> str:
        return it_works(Device(name="Key", transports=transports), proof)

    plain = "It works. “Key” gave the right answer."
    assert said([], Proof()) == said(["internal"], Proof()) == said(["nfc", "usb"], Proof()) == plain
    assert said(["nfc"], Proof()) == plain + " Connected by: NFC."
    assert said(["internal"], Proof(user_verified=True)) == plain + " It checked that it was you, by PIN, finger or face."


# ---- what is wrong ---------------------------------------------------------------------------------------------------


def test_wrong_codes_count_as_everywhere_and_the_sixth_is_told_when_it_works_again(alice: Person) -> None:
    browser = begun(alice)
    for number in range(1, 5):
        browser.send(code=alice.wrong_code())
        assert browser.status == 401 and "shows a different code" in browser.text and failures(alice.app) == number
    test = browser.at
    browser.send(code=alice.wrong_code())
    assert browser.status == 429 and "It works again in 30 seconds." in browser.text and failures(alice.app) == 5
    assert SignIn.objects.get(purpose="test").state == SignIn.State.REFUSED
    browser.send(test, code=alice.code())
    assert browser.status == 401 and "It works again in" in browser.text, "a right one too"
    page = browser.go(page_of(alice.app))
    assert "Resting for" in page.text and "Test this device" not in page.text
    assert page.send(page_of(alice.app) + "test/").at == page_of(alice.app), "nothing is begun meanwhile"
    assert SignIn.objects.filter(purpose="test").count() == 1 and failures(alice.app) == 5
    assert "No device can be used now" in Browser().password(alice).text
    assert Event.objects.filter(act="device_paused").count() == Event.objects.filter(act="sign_in_refused").count() == 1


def test_a_test_begun_anew_gives_no_more_guesses(alice: Person) -> None:
    browser = signed_in(alice)
    for _ in range(5):
        browser.go(page_of(alice.app)).send(page_of(alice.app) + "test/").send(code=alice.wrong_code())
    assert browser.status == 429 and "It works again in 30 seconds." in browser.text


def test_a_malformed_answer_is_no_failure(alice: Person) -> None:
    browser = begun(alice)
    assert browser.send(code="").status == 400 and browser.send(response="{}").status == 400
    assert failures(alice.app) == 0
    assert "It works." in browser.send(code=alice.code()).text


def test_a_key_that_looks_cloned_is_suspended_by_its_test() -> None:
    person = make_person("totp", "fido2")
    browser = begun(person, person.key)
    Device.objects.filter(pk=person.key.pk).update(counter=10_000)
    answer_with_key(browser, person)
    assert browser.status == 409 and "was suspended" in browser.text
    assert Device.objects.get(pk=person.key.pk).state == "suspended"


# ---- who, and which --------------------------------------------------------------------------------------------------


def test_other_peoples_devices_are_not_found(alice: Person, mallory: Person) -> None:
    theirs = begun(alice).at
    browser = signed_in(mallory)
    for path in (page_of(alice.app) + "test/", theirs, theirs.replace(str(alice.app.uuid), str(alice.user.uuid))):
        assert browser.go(path).status == 404
        assert browser.go(page_of(mallory.app)).send(path, code=mallory.code()).status == 404
    own = f"{page_of(mallory.app)}test/{theirs.split('/')[-2]}/"
    assert browser.go(own).status == 401 and "This test is over." in browser.text
    assert SignIn.objects.get(purpose="test").state == SignIn.State.WAITING and failures(alice.app) == 0


def test_another_session_of_the_same_person_cannot_answer(alice: Person) -> None:
    browser = begun(alice)
    other = signed_in(alice)
    for _ in range(2):
        assert other.go(page_of(alice.app)).send(browser.at, code=alice.code()).status == 401
        assert "This test is over." in other.text
    assert "It works." in browser.send(code=alice.code()).text, "the code was not used up, and the test waits"


def test_a_test_is_for_one_device(alice: Person) -> None:
    person = make_person("totp", "fido2")
    browser = begun(person)
    other = browser.at.replace(str(person.app.uuid), str(person.key.uuid))
    assert browser.go(other).status == 401 and "This test is over." in browser.text
    test = SignIn.objects.get(purpose="test")
    assert test.device == person.app


def test_a_test_is_no_sign_in_and_no_step_up(alice: Person) -> None:
    browser = begun(alice)
    uuid, device = browser.at.split("/")[-2], alice.app.uuid
    session = BrowserSession.objects.exclude(person=None).get()
    assert browser.go(f"/sign-in/{uuid}/{device}/").at == "/account/", "over, and signed in"
    assert browser.go(f"/confirm/{uuid}/{device}/").status == 401
    browser.go(f"/account/devices/{device}/")
    for path in (f"/sign-in/{uuid}/{device}/", f"/confirm/{uuid}/{device}/", f"/confirm/{uuid}/cancel/"):
        browser.send(path, code=alice.code())
        assert "It works" not in browser.text
    for purpose in (SignIn.Purpose.SIGN_IN, SignIn.Purpose.STEP_UP, SignIn.Purpose.ENROL):
        for asker in (None, session.uuid):
            with pytest.raises(Refused) as refused:
                signin.by_uuid(SignIn.objects.get(uuid=uuid).uuid, purpose, asker, timezone.now())
            assert refused.value.reason is Reason.SIGN_IN_OVER
    for handle in (uuid, "", str(SignIn.objects.get(uuid=uuid).pk)):
        api = Api()
        api.client.cookies["session"] = browser.client.cookies["session"].value
        api.take_csrf()
        assert code_of(api.answer(handle, alice.app, alice.code(), grant="session")) == (401, "sign_in_over")
    assert SignIn.objects.get(uuid=uuid).state == SignIn.State.WAITING and failures(alice.app) == 0
    assert BrowserSession.objects.exclude(person=None).get().auth_time == session.auth_time


def test_nothing_is_tested_without_a_session(alice: Person) -> None:
    at = begun(alice).at
    for path in (at, page_of(alice.app) + "test/"):
        assert Browser().go(path).at.startswith("/sign-in/?next=")
        half = Browser().password(alice)
        assert half.send(path, code=alice.code()).at.startswith("/sign-in/?next=")
    assert failures(alice.app) == 0


def test_a_session_that_ended_took_its_test_with_it(alice: Person) -> None:
    browser = begun(alice)
    test = browser.at
    BrowserSession.objects.update(ended_at=timezone.now())
    assert browser.send(code=alice.code()).at.startswith("/sign-in/?next=")
    assert Browser().sign_in(alice, next_path=test).at == test


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"state": "lost"}, "It was reported lost"),
        ({"state": "suspended"}, "It is suspended"),
        ({"failures": 50}, "After too many wrong answers in a row nobody can sign in with it any more"),
        ({"paused_until": datetime(2999, 1, 1, tzinfo=UTC)}, "so it rests for a while"),
    ],
)
def test_what_cannot_sign_in_is_not_tested_and_the_page_says_why(columns: dict[str, object], why: str) -> None:
    person = make_person("totp", "fido2")
    browser = begun(person, person.key)
    test = browser.at
    Device.objects.filter(pk=person.key.pk).update(**columns)
    browser.go(page_of(person.key))
    assert why in browser.text and "Test this device" not in browser.text
    assert browser.send(page_of(person.key) + "test/").at == page_of(person.key)
    assert browser.go(test).status in (409, 429) and "Back to the device" in browser.text
    assert browser.go(page_of(person.key)).send(test, response="{}").status in (409, 429)
    assert SignIn.objects.filter(purpose="test").count() == 1


def test_recovery_codes_are_counted_instead() -> None:
    person = make_person("totp", "recovery")
    browser = signed_in(person).go(page_of(person.code_set))
    assert "a test would use one of them up" in browser.text and "10 recovery codes are left." in browser.text
    assert "Test this device" not in browser.text
    assert browser.send(page_of(person.code_set) + "test/").at == page_of(person.code_set)
    assert not SignIn.objects.filter(purpose="test").exists()
    with pytest.raises(Refused):
        try_out.begin(person.user, person.code_set, person.user.uuid, Client("", "", ""), timezone.now())


def test_a_test_that_expired_is_begun_anew(alice: Person) -> None:
    browser = begun(alice)
    SignIn.objects.filter(purpose="test").update(expires_at=timezone.now())
    assert browser.send(code=alice.code()).status == 401 and "This test is over." in browser.text
    assert failures(alice.app) == 0


# ---- at once ---------------------------------------------------------------------------------------------------------


def test_a_second_click_comes_to_the_same_page_and_counts_nothing(alice: Person) -> None:
    browser, code = begun(alice), alice.code()
    at = browser.at
    browser.send(code=code)
    assert browser.go(page_of(alice.app)).send(at, code=code).at == page_of(alice.app)
    assert browser.go(at).at == page_of(alice.app) and failures(alice.app) == 0
    assert Event.objects.filter(act="device_tested").count() == 1
