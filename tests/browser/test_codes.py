"""What people do with every kind of code, in a browser: with a mouse or keys, and with JavaScript off."""

import re
import subprocess
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import SignIn
from devices import oath
from devices.models import Device
from tests.authenticators import Button, Clock, YubiKey
from tests.browser.code_places import signed_in, with_temporary_code
from tests.browser.steps import enrol_key, enter_code, expect_signed_in, give_password, sign_out
from tests.browser.virtual_key import UsbKey
from tests.conftest import make_person, make_token

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without"])
def page(request: pytest.FixtureRequest, open_page: Callable[..., Page]) -> Page:
    """A page of a browser, with JavaScript and without."""
    return open_page(java_script_enabled=request.param)


def test_a_token_is_loaded_and_signs_in(page: Page, transactional_db: None) -> None:
    ada = signed_in(page)
    page.goto("/account/devices/add/hotp/")
    page.get_by_text("Or type it in").click()
    key = page.locator(".key").inner_text().replace(" ", "")

    def press(counter: int) -> str:
        made = ["oathtool", "--hotp", "-b", "-c", str(counter), key]
        return subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()

    enter_code(page, press(0))
    expect(page.get_by_role("status")).to_contain_text("is ready")
    sign_out(page)
    give_password(page, ada)
    page.get_by_role("link", name="Use another way").click()
    page.get_by_role("link", name="Token with a button").click()
    enter_code(page, press(50))
    expect(page.get_by_role("alert")).to_contain_text("pressed many times")
    page.get_by_label("Code", exact=True).fill(press(51))
    page.get_by_label("Next code").fill(press(52))
    page.get_by_role("button", name="Continue").click()
    expect_signed_in(page)
    assert Device.objects.get(kind="hotp").counter == 52


def test_a_phone_is_added_and_signs_in(page: Page, transactional_db: None) -> None:
    ada = signed_in(page)
    page.goto("/account/devices/add/")
    page.get_by_role("link", name="Text message").click()
    assert not Device.objects.filter(kind="sms").exists(), "a look begins nothing"
    page.get_by_label("Phone number").fill("+49 1512 3456789")
    page.get_by_role("button", name="Send a code").click()
    expect(page.get_by_text("We sent a code to")).to_be_visible()
    row = Device.objects.get(kind="sms")
    page.reload()
    assert Device.objects.get(kind="sms").sent == 1, "a reload sends nothing"
    enter_code(page, oath.at(row, 1))
    expect(page.get_by_role("status")).to_contain_text("is ready")
    sign_out(page)
    Device.objects.filter(pk=row.pk).update(sent_at=None)
    give_password(page, ada)
    page.get_by_role("link", name="Use another way").click()
    page.get_by_role("link", name="Text message").click()
    expect(page.get_by_text("We sent a code to")).to_be_visible()
    page.reload()
    assert Device.objects.get(pk=row.pk).sent == 2, "sent once"
    page.get_by_role("button", name="Send another code").click()
    expect(page.get_by_role("alert")).to_contain_text("another code in")
    Device.objects.filter(pk=row.pk).update(sent_at=None)
    page.get_by_role("button", name="Send another code").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    enter_code(page, oath.at(row, 2))
    expect(page.get_by_role("alert")).to_contain_text("Only the newest one counts")
    enter_code(page, oath.at(row, 3))
    expect_signed_in(page)


def test_a_token_is_taken_by_its_serial_as_the_first_device(page: Page, transactional_db: None) -> None:
    nora, held = make_person(username="nora"), make_token("hotp", serial="AB-7")
    assert isinstance(held, Button)
    give_password(page, nora)
    page.get_by_role("link", name="A token from your organisation").click()
    first, second = held.two()
    for codes, works in (((second, first), False), ((first, second), True)):
        page.get_by_label("Serial number").fill("ab-7")
        page.get_by_label("Code", exact=True).fill(codes[0])
        page.get_by_label("Next code").fill(codes[1])
        page.get_by_role("button", name="Continue").click()
        if not works:
            expect(page.get_by_role("alert")).to_contain_text("do not go together")
            expect(page.get_by_label("Serial number")).to_have_value("ab-7")
    expect_signed_in(page)
    assert Device.objects.get(serial="AB-7").user == nora.user


def test_a_clock_that_strayed_is_lined_up_on_the_devices_page(page: Page, transactional_db: None) -> None:
    ada = signed_in(page)
    held = make_token("totp", ada.user, serial="CD-8")
    assert isinstance(held, Clock)
    held.ahead = -40
    page.goto(f"/account/devices/{held.device.uuid}/")
    page.get_by_text("Its codes are not accepted?").click()
    first, second = held.two()
    page.get_by_label("First code").fill(first)
    page.get_by_label("Next code").fill(second)
    page.get_by_role("button", name="Line it up").click()
    expect(page.get_by_role("status")).to_contain_text("is lined up")
    expect(page.get_by_text("About 20 minutes behind")).to_be_visible()
    page.get_by_text("Remove this device").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Hand it in")
    assert Device.objects.get(pk=held.device.pk).state == "in_stock"


def test_a_touch_in_another_devices_field_is_taken(page: Page, transactional_db: None) -> None:
    ada = make_person("totp", "yubiotp", username="ada")
    key = ada.held["yubiotp"]
    assert isinstance(key, YubiKey)
    give_password(page, ada)
    page.get_by_role("link", name="Use another way").click()
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_label("Code", exact=True).fill(key.next().upper())
    page.keyboard.press("Enter")
    expect_signed_in(page)
    assert SignIn.objects.get(state="finished").methods == ["pwd", "otp", "hwk", "mfa"]


def test_a_temporary_code_opens_enrolment_and_nothing_else(open_page: Callable[..., Page], transactional_db: None) -> None:
    page = open_page()
    ada, code = with_temporary_code(page)
    enter_code(page, code.lower().replace("-", " "))
    expect(page.get_by_text("It opens 1 more time.")).to_be_visible()
    page.goto(f"/account/devices/{ada.app.uuid}/")
    page.get_by_label("Name").fill("Another name")
    page.get_by_role("button", name="Rename").click()
    expect(page).to_have_url(re.compile("/confirm/"))
    UsbKey(page).plug_in()
    assert "key" in enrol_key(page).lower()
    sign_out(page)


def test_the_code_page_by_keyboard_alone(open_page: Callable[..., Page], transactional_db: None) -> None:
    page = open_page()
    person = make_person("hardware_hotp", username="dave")
    held = person.held["hardware_hotp"]
    assert isinstance(held, Button)
    give_password(page, person)
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    page.keyboard.type(held.next())
    page.keyboard.press("Enter")
    expect_signed_in(page)
