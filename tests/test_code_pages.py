"""The pages of every kind of code without a browser: what is sent and when, what a weak proof opens, what a page says."""

import html
import io
import json
import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts import mails
from accounts.models import BrowserSession, SignIn
from accounts.templatetags.words import ends_in
from audit.models import Event
from devices import oath
from devices.lifecycle import State
from devices.models import DISABLE_AT, Device
from tests.authenticators import Button
from tests.conftest import Person, hold, make_person, make_token
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db


def entered(person: Person, kind: str) -> Browser:
    """The person's browser, signed in with what is held of this kind."""
    browser, held = Browser().password(person), person.held[kind]
    uuid = browser.at.split("/")[2]
    browser.go(f"/sign-in/{uuid}/{held.device.uuid}/")
    code = held.codes[0] if kind == "temporary" else held.code(sign_in(uuid)) if kind in ("sms", "email") else held.next()
    return browser.send(code=code)


def sign_in(uuid: str) -> SignIn:
    return SignIn.objects.get(uuid=uuid)


def grow_old() -> None:
    """Every proof is older than five minutes."""
    BrowserSession.objects.exclude(person=None).update(auth_time=timezone.now() - timedelta(seconds=301))
    Device.objects.update(sent_at=None)


# ---- who proved the weakest only -----------------------------------------------------------------------------------


def test_who_has_nothing_stronger_than_mail_adds_a_device_after_a_fresh_proof_of_it() -> None:
    person = make_person("email")
    browser = entered(person, "email")
    assert browser.go("/account/devices/add/").at == "/account/devices/add/"
    grow_old()
    browser.go("/account/devices/add/")
    assert browser.at.startswith("/confirm/") and browser.at.endswith(f"{person.held['email'].device.uuid}/")
    browser.send(code=person.held["email"].code(sign_in(browser.at.split("/")[2])))
    assert browser.at == "/account/devices/add/" and "Confirmed." in browser.text


def test_what_takes_more_is_not_asked_for_again_and_again() -> None:
    browser = entered(make_person("email"), "email")
    browser.go("/account/password/")
    assert browser.status == 403 and "This takes a stronger device" in browser.text and "Add a device" in browser.text


OPENS = "lets you see your account and add a device"


def test_a_page_that_a_temporary_code_does_not_open_says_why_and_what_does() -> None:
    person = make_person("hardware_totp", "temporary")
    browser = entered(person, "temporary")
    assert f"{OPENS} within half an hour, nothing else" in browser.text
    assert f"{OPENS}, nothing else" in browser.go("/account/").text
    browser.go("/account/password/")
    for path in (browser.at, f"/confirm/{browser.at.split('/')[2]}/methods/"):
        text = browser.go(path).text
        assert f"temporary code, which {OPENS} within half an hour, nothing else" in text
        assert "confirm with one of your devices" in text and 'href="/account/devices/add/"' in text
    browser.go("/account/devices/add/")
    assert browser.status == 200
    Device.objects.filter(pk=person.held["hardware_totp"].device.pk).update(paused_until=timezone.now() + timedelta(minutes=5))
    assert OPENS in browser.go("/account/password/").text


def test_a_page_that_a_code_by_mail_does_not_open_says_so_and_who_is_strong_reads_none_of_it() -> None:
    person = make_person("email", "totp")
    browser = entered(person, "email")
    text = browser.go("/account/password/").text
    assert f"code by mail, which {OPENS}, nothing else" in text and "/account/devices/add/" not in text
    strong = Browser().sign_in(make_person("totp"))
    grow_old()
    assert strong.go("/account/password/").at.startswith("/confirm/") and OPENS not in strong.text


def test_a_switched_off_device_is_nothing_stronger() -> None:
    person = make_person("email", "totp")
    Device.objects.filter(pk=person.app.pk).update(failures=DISABLE_AT)
    browser = entered(person, "email")
    assert "This takes a stronger device" in browser.go("/account/password/").text


def test_confirming_offers_nothing_weak_while_the_strong_one_rests() -> None:
    person = make_person("email", "totp")
    browser = entered(person, "email")
    Device.objects.filter(pk=person.app.pk).update(failures=5, paused_until=timezone.now() + timedelta(minutes=5))
    browser.go("/account/password/")
    assert browser.at.endswith("/methods/") and "rests for 5 minutes" in browser.text
    assert str(person.held["email"].device.uuid) not in browser.text


# ---- the code page --------------------------------------------------------------------------------------------------


def test_a_touch_of_another_key_of_ones_own_is_taken_in_any_field() -> None:
    person = make_person("yubiotp", "recovery")
    other = make_token("yubiotp", person.user)
    for device in (person.held["yubiotp"].device, person.code_set):
        browser = Browser().password(person)
        browser.go(f"/sign-in/{browser.at.split('/')[2]}/{device.uuid}/")
        assert browser.send(code=other.next()).at == "/account/"
        browser.send("/sign-out/")


def test_a_touch_of_a_strangers_key_is_explained_in_any_field() -> None:
    person, strange = make_person("totp", "recovery", "temporary"), make_token("yubiotp")
    for device in (person.app, person.code_set, person.held["temporary"].device):
        browser = Browser().password(person)
        browser.go(f"/sign-in/{browser.at.split('/')[2]}/{device.uuid}/")
        assert "came from touching a YubiKey" in browser.send(code=strange.next()).text


def test_asking_too_soon_says_when_in_the_head_of_the_answer_too() -> None:
    person = make_person("sms")
    browser = Browser().password(person)
    browser.send(action="again")
    assert browser.status == 429 and "You can ask for another code in" in browser.text
    assert 0 < int(browser.response["Retry-After"]) <= 61
    assert "aria-invalid" not in browser.text, "nothing is wrong with the field"
    code = person.held["sms"].code(sign_in(browser.at.split("/")[2]))
    assert browser.send(code=code).at == "/account/", "the code that is there counts"


@pytest.mark.parametrize("kind", ["sms", "email"])
def test_signing_in_again_within_a_minute_shows_the_field_and_when_another_code_can_be_sent(kind: str) -> None:
    person = make_person(kind)
    held, first = person.held[kind], Browser().password(person)
    code = held.code(sign_in(first.at.split("/")[2]))
    second = Browser().password(person)
    assert second.at.endswith(f"/{held.device.uuid}/") and second.status == 200
    assert 'name="code"' in second.text and "for another sign-in" in second.text and "There is no other way" not in second.text
    assert re.search("Another can be sent in (1 minute|[0-9]+ seconds)", second.text) and "Send another code" in second.text
    assert "We sent a code" not in second.text
    refused = second.send(code=code)
    assert refused.status == 409 and "No code was sent for this sign-in yet" in refused.text and 'name="code"' in refused.text
    early = second.send(action="again")
    assert early.status == 429 and "You can ask for another code in" in early.text and 'name="code"' in early.text
    assert 0 < int(early.response["Retry-After"]) <= 61
    held.device.refresh_from_db()
    assert (held.device.failures, held.device.sent) == (0, 1)
    held.minute_later()
    sent = second.send(action="again")
    assert "We sent a code" in sent.text and "for another sign-in" not in sent.text
    assert second.send(code=held.code(sign_in(second.at.split("/")[2]))).at == "/account/"


def test_testing_a_phone_that_just_signed_in_shows_the_field_too() -> None:
    person = make_person("sms")
    browser = entered(person, "sms")
    row = person.held["sms"].device
    browser.go(f"/account/devices/{row.uuid}/")
    browser.send(f"/account/devices/{row.uuid}/test/")
    assert 'name="code"' in browser.text and "Another can be sent in" in browser.text


ADD_PHONE = "/account/devices/add/sms/"


def adding_a_phone() -> Browser:
    """Somebody to whose new phone a code is on its way."""
    browser = Browser().sign_in(make_person("totp"))
    return browser.go(ADD_PHONE).send(ADD_PHONE, action="ask", address="+49 1512 3456789")


def test_asking_too_soon_while_adding_says_when_too() -> None:
    browser = adding_a_phone().send(ADD_PHONE, action="again")
    assert browser.status == 429 and "You can ask for another code in" in browser.text and 'name="code"' in browser.text
    assert 0 < int(browser.response["Retry-After"]) <= 61


def test_the_fifth_wrong_code_of_a_new_phone_says_why_the_number_is_asked_for_again() -> None:
    browser = adding_a_phone()
    for _ in range(5):
        browser.send(ADD_PHONE, code="000000")
    assert browser.status == 401 and "Phone number" in browser.text
    assert 'role="alert"' in browser.text and "not the code that went to" in browser.text
    assert not Device.objects.filter(kind="sms").exists()


def test_the_demo_says_that_looking_presses_no_button(client: Client) -> None:
    call_command("seed_demo")
    token = Device.objects.get(user__username="dave")
    pages = [client.get("/demo/").content.decode() for _ in range(2)]
    assert all(oath.at(token, token.counter + 1) in page and "the next press of its button" in page for page in pages)
    token.refresh_from_db()
    assert token.counter == -1


def pattern_of(text: str, field: str = "code") -> "re.Pattern[str]":
    """What the browser lets through, anchored as HTML says."""
    tag = next(tag for tag in re.findall("<input[^>]*>", text) if f'name="{field}"' in tag)
    found = re.search(' pattern="([^"]+)" title="([^"]+)"', tag)
    assert found, tag
    assert "digits" in found[2]
    return re.compile(f"(?:{html.unescape(found[1])})")


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("totp", ["123456", " 123 456 ", "12-34-56"], ["12345", "1234567", "123456 654321", "12345a"]),
        ("hardware_hotp", ["123456", "123 456", "123456 654321"], ["12345", "1234567", "12345678901"]),
        ("email", ["12345678", "1234 5678"], ["123456", "123456789"]),
    ],
)
def test_a_browser_says_how_many_digits_a_code_has_before_it_is_counted(kind: str, right: list[str], wrong: list[str]) -> None:
    browser = Browser().password(make_person(kind))
    pattern = pattern_of(browser.text)
    touch = make_token("yubiotp").next()
    assert all(pattern.fullmatch(code) for code in (*right, touch, touch.upper()))
    assert not any(pattern.fullmatch(code) for code in (*wrong, touch[1:]))
    form = browser.text.split('name="code"')[0].rpartition("<form")[2]
    assert "novalidate" not in form
    assert browser.send(code="12345").status == 401, "posted all the same it is judged as ever"


@pytest.mark.parametrize("kind", ["yubiotp", "recovery", "temporary"])
def test_codes_that_are_no_digits_are_not_measured(kind: str) -> None:
    person = make_person("totp", kind)
    browser = Browser().password(person)
    row = person.code_set if kind == "recovery" else person.held[kind].device
    assert " pattern=" not in browser.go(f"/sign-in/{browser.at.split('/')[2]}/{row.uuid}/").text


def test_adding_and_lining_up_and_claiming_say_it_too() -> None:
    person = make_person("totp", "hardware_hotp")
    browser = Browser().sign_in(person)
    assert pattern_of(browser.go("/account/devices/add/totp/").text).fullmatch("123 456")
    text = page_of(browser, person.held["hardware_hotp"].device)
    assert pattern_of(text).fullmatch("123456") and not pattern_of(text, "next_code").fullmatch("12345")
    claiming = browser.go("/account/devices/add/serial/").text
    for field in ("code", "next_code"):
        pattern = pattern_of(claiming, field)
        assert pattern.fullmatch("123456") and pattern.fullmatch("1234 5678") and pattern.fullmatch("c" * 44)
        assert not pattern.fullmatch("12345") and not pattern.fullmatch("123456789")


# ---- the pages of devices --------------------------------------------------------------------------------------------


def page_of(browser: Browser, device: Device) -> str:
    return browser.go(f"/account/devices/{device.uuid}/").text


def test_a_temporary_code_is_no_set_of_recovery_codes() -> None:
    person = make_person("totp", "temporary")
    browser, row = Browser().sign_in(person), person.held["temporary"].device
    listed = browser.go("/account/devices/").text
    assert f"/account/devices/{row.uuid}/" in listed and "Make recovery codes" in listed
    text = page_of(browser, row)
    assert "Remove this code" in text and "Uses left" in text and "Valid until" in text
    assert "Remove these codes" not in text and "None of them works" not in text


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"valid_until": timezone.now() - timedelta(days=1)}, "Its time is over"),
        ({"valid_from": timezone.now() + timedelta(days=1)}, "Not valid yet"),
        ({"failures": DISABLE_AT}, "Switched off"),
        ({"state": State.ASSIGNED}, "Not tried yet"),
    ],
)
def test_the_list_and_the_page_say_why_a_token_cannot_be_used(columns: dict[str, Any], word: str) -> None:
    person = make_person("totp", "hardware_hotp")
    row = person.held["hardware_hotp"].device
    Device.objects.filter(pk=row.pk).update(**columns)
    browser = Browser().sign_in(person)
    assert word in browser.go("/account/devices/").text and word in page_of(browser, row)


def test_a_kind_that_is_off_is_not_called_ready(settings: Any) -> None:
    person = make_person("totp", "sms")
    settings.KINDS_OFF = frozenset({"sms"})
    browser = Browser().sign_in(person)
    listed = browser.go("/account/devices/").text
    assert listed.count("Ready") == 1 and "Not in use here" in listed
    assert "Not in use here" in page_of(browser, person.held["sms"].device)


def test_two_wrong_codes_open_that_form_again_and_not_the_one_that_removes() -> None:
    person = make_person("totp", "hardware_hotp")
    browser, row = Browser().sign_in(person), person.held["hardware_hotp"].device
    browser.send(f"/account/devices/{row.uuid}/", action="resync", code="000000", next_code="000000")
    assert browser.status == 401 and browser.text.count("<details open>") == 1
    opened = browser.text.split("<details open>")[1].split("</details>")[0]
    assert 'value="resync"' in opened


def test_a_new_token_that_was_pressed_often_is_asked_for_two_codes() -> None:
    person = make_person("totp")
    browser = Browser().sign_in(person)
    browser.go("/account/devices/add/hotp/")
    row = Device.objects.get(kind="hotp")
    token = Button(row)
    assert "Next code" not in browser.text
    browser.send(code=token.at(40))
    assert "pressed many times" in browser.text and "Next code" in browser.text
    browser.send(code=token.at(41), next_code=token.at(42))
    assert browser.at == f"/account/devices/{row.uuid}/"


@pytest.mark.parametrize("kind", ["hardware_hotp", "hardware_totp"])
def test_after_a_pause_a_token_out_of_step_is_lined_up_by_the_first_try(kind: str) -> None:
    person = make_person(kind)
    held, browser = person.held[kind], Browser().password(person)
    for _ in range(5):
        browser.send(code=held.wrong())
    then = "Then enter two of its codes, one after the other"
    assert re.search("It works again in [0-9]+ seconds", browser.text) and then in browser.text
    assert "rests for" in browser.password(person).text and then in browser.text
    Device.objects.update(paused_until=timezone.now())
    browser.password(person)
    assert 'name="next_code"' in browser.text and "<details>" not in browser.text.split("<footer")[0]
    assert "makes it rest again" in browser.text
    first, second = held.two(40)
    assert browser.send(code=first, next_code=second).at == "/account/"
    Device.objects.update(failures=5, paused_until=timezone.now() + timedelta(seconds=30))
    assert then in page_of(browser, held.device)


def test_what_cannot_be_lined_up_is_not_told_to_be(alice: Person) -> None:
    browser = Browser().password(alice)
    for _ in range(5):
        browser.send(code=alice.wrong_code())
    assert "It works again in" in browser.text and "Then enter two" not in browser.text
    Device.objects.update(paused_until=timezone.now())
    assert 'name="next_code"' not in browser.password(alice).text


def test_pages_and_mails_write_a_moment_in_one_way(alice: Person) -> None:
    held = hold(alice, "temporary").device
    until = timezone.now().replace(2031, 2, 3, 16, 5)
    Device.objects.filter(pk=held.pk).update(valid_until=until, created_at=until)
    browser = Browser().sign_in(alice)
    text = page_of(browser, held)
    assert "<dd>3 February 2031</dd>" in text and "<dd>3 February 2031, 16:05 UTC</dd>" in text
    Event.objects.filter(act="signed_in").update(at=until)
    event = Event.objects.get(act="signed_in")
    assert ">3 February 2031, 16:05 UTC</time>" in browser.go("/account/activity/").text
    assert "When: 3 February 2031, 16:05 UTC\n" in mails.circumstances(event)


# ---- two tokens that look alike -------------------------------------------------------------------------------------


def test_tokens_are_told_apart_by_their_serials() -> None:
    person = make_person("totp")
    one, two = (make_token("hotp", person.user, serial=f"FT20031147{end}") for end in ("4711", "4712"))
    browser = Browser().password(person)
    browser.go(f"/sign-in/{browser.at.split('/')[2]}/methods/")
    assert "serial ends in 4711" in browser.text and "serial ends in 4712" in browser.text
    browser.go(f"/sign-in/{browser.at.split('/')[2]}/{one.device.uuid}/")
    assert "Its serial ends in 4711" in browser.text and "FT2003" not in browser.text
    for row in (one, two):
        assert row.device.serial not in browser.go(f"/sign-in/{browser.at.split('/')[2]}/methods/").text
    browser.sign_in(person)
    listed = browser.go("/account/devices/").text
    assert one.device.serial in listed and two.device.serial in listed


def test_of_a_short_serial_half_is_shown_before_signing_in() -> None:
    assert [ends_in(Device(serial=serial)) for serial in ("", "7", "1234", "123456", "12345678", "123456789")] == [
        *["", "", "34", "456"],
        *["5678", "6789"],
    ]


# ---- the demo -------------------------------------------------------------------------------------------------------


def test_what_is_printed_of_the_demo_peoples_tokens_signs_them_in() -> None:
    printed = io.StringIO()
    call_command("seed_demo", "--json", stdout=printed)
    people = {person["username"]: person for person in json.loads(printed.getvalue())["people"]}
    for name, counter in (("carol", 1), ("dave", 0), ("erin", None)):
        [device] = people[name]["devices"]
        otp: Any = pyotp.parse_uri(device["otpauth_uri"])
        assert (otp.digits, otp.digest().name) == ((8, "sha256") if name == "erin" else (6, "sha1"))
        browser = Browser().go("/sign-in/").send("/sign-in/", username=name, password=people[name]["password"])
        assert device["uuid"] in browser.at
        if name == "carol":
            assert device["address"].startswith("+49") and f"counter={counter}" in device["otpauth_uri"]
        shown = html.unescape(Browser().go("/demo/").text)
        if isinstance(otp, pyotp.HOTP):
            code = otp.generate_otp(counter or otp.initial_count)
            assert f"@localhost #{code}" in shown if name == "carol" else code in shown
        else:
            code = otp.now()
        assert browser.send(code=code).at == "/account/"
    token: Any = pyotp.parse_uri(people["dave"]["devices"][0]["otpauth_uri"])
    assert token.at(1) in Browser().go("/demo/").text, "the next one"


def test_starting_the_demo_over_gives_tokens_back_to_the_stock() -> None:
    in_stock, taken = make_token("hotp"), make_token("hotp", make_person("totp").user, serial="BOX-7", name="Mine")
    lost = make_token("hotp", make_person("totp").user, serial="BOX-8", state=State.LOST)
    for _time in range(2):
        call_command("seed_demo", "--reset", verbosity=0)
    assert Device.objects.get(pk=in_stock.device.pk).state == State.IN_STOCK
    back = Device.objects.get(pk=taken.device.pk)
    assert (back.state, back.user_id, back.name) == (State.IN_STOCK, None, "")
    assert not Device.objects.filter(pk=lost.device.pk).exists(), "nobody knows who has it"
    assert Device.objects.filter(serial__startswith="DEMO-").count() == 2
