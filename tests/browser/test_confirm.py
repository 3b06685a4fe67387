"""Confirming that it is still you, in a real browser: by code, by key, by keyboard, and back to what was being done."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from devices.models import Device
from tests.browser.steps import alert, choose, enrol_key, enter_code, grow_old, sign_in_with_code, use_key
from tests.browser.virtual_key import UsbKey
from tests.conftest import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CONFIRM = re.compile(r"/confirm/[0-9a-f-]{36}/[0-9a-f-]{36}/$")


@pytest.fixture
def alice(transactional_db: None) -> Person:
    """She has an authenticator app."""
    return make_person("totp", username="alice")


def expect_asked(page: Page) -> None:
    expect(page).to_have_url(CONFIRM)
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm it is you")


def rename(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Rename").click()


def test_by_code_and_back_to_the_page(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    grow_old()
    page.get_by_role("link", name="Your devices").click()
    page.get_by_role("link", name="Add a device").click()
    expect_asked(page)
    enter_code(page, alice.wrong_code())
    expect(alert(page)).to_contain_text("shows a different code")
    enter_code(page, alice.code())
    expect(page).to_have_url("/account/devices/add/")
    expect(page.get_by_role("status")).to_have_text("Confirmed.")
    page.get_by_role("link", name="Authenticator app").click()
    expect(page).to_have_url("/account/devices/add/totp/")


def test_by_key_and_back_to_the_page(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    UsbKey(page).plug_in()
    key = enrol_key(page)
    grow_old()
    page.goto("/account/devices/add/")
    expect_asked(page)
    choose(page, key)
    use_key(page)
    expect(page).to_have_url("/account/devices/add/")
    grow_old()
    page.goto("/account/devices/add/")
    expect(page.get_by_role("button", name="Use my security key")).to_be_focused()
    expect(page.get_by_text(f"Have “{key}” ready")).to_be_visible()


def a_name_outlasts_the_confirmation(page: Page, person: Person) -> None:
    sign_in_with_code(page, person)
    page.goto(f"/account/devices/{person.app.uuid}/")
    grow_old()
    rename(page, "Blue phone")
    expect_asked(page)
    enter_code(page, person.code())
    expect(page.get_by_role("status")).to_contain_text("What you entered is still here")
    expect(page.get_by_label("Name")).to_have_value("Blue phone")
    expect(page.get_by_role("button", name="Rename")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("The device is now called “Blue phone”.")


def test_the_name_that_was_typed_outlasts_it(page: Page, alice: Person) -> None:
    a_name_outlasts_the_confirmation(page, alice)


def test_the_same_without_javascript(open_page: Callable[..., Page], alice: Person) -> None:
    a_name_outlasts_the_confirmation(open_page(java_script_enabled=False), alice)


def test_a_removal_is_one_press_away_afterwards(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    UsbKey(page).plug_in()
    key = enrol_key(page)
    grow_old()
    page.reload()
    page.get_by_text("Remove this device").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect_asked(page)
    choose(page, "Authenticator app")
    enter_code(page, alice.code())
    expect(page.get_by_role("button", name="Remove", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text(f"“{key}” was removed.")


def test_cancel_goes_back_and_nothing_happened(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    page.goto(f"/account/devices/{alice.app.uuid}/")
    grow_old()
    rename(page, "Blue phone")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Name")).to_have_value("Blue phone")
    assert Device.objects.get().name == "Authenticator app"
    page.goto("/account/devices/add/")
    page.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url("/account/")


def test_by_keyboard_alone(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    grow_old()
    page.goto("/account/devices/add/")
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    page.keyboard.type(alice.code())
    page.keyboard.press("Enter")
    expect(page).to_have_url("/account/devices/add/")
