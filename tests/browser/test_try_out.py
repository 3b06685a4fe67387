"""Trying out a device in a real browser: by code, by key, by keyboard and without JavaScript."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.steps import alert, enrol_key, enter_code, grow_old, sign_in_with_code, use_key
from tests.browser.virtual_key import UsbKey
from tests.conftest import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def alice(transactional_db: None) -> Person:
    """She has an authenticator app."""
    return make_person("totp", username="alice")


def a_code_is_tested(page: Page, person: Person) -> None:
    sign_in_with_code(page, person)
    grow_old()
    page.goto(f"/account/devices/{person.app.uuid}/")
    page.get_by_role("button", name="Test this device").click()
    enter_code(page, person.wrong_code())
    expect(alert(page)).to_contain_text("shows a different code")
    enter_code(page, person.code())
    expect(page).to_have_url(f"/account/devices/{person.app.uuid}/")
    expect(page.get_by_role("status")).to_contain_text("It works.")


def test_by_code(page: Page, alice: Person) -> None:
    a_code_is_tested(page, alice)


def test_by_code_without_javascript(open_page: Callable[..., Page], alice: Person) -> None:
    a_code_is_tested(open_page(java_script_enabled=False), alice)


def test_by_key(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    with UsbKey(page):
        enrol_key(page)
        page.get_by_role("button", name="Test this device").click()
        use_key(page)
        expect(page.get_by_role("status")).to_contain_text("It works.")
        expect(page.get_by_role("status")).to_contain_text("Connected by: USB.")


def test_by_keyboard_alone(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    grow_old()
    page.goto(f"/account/devices/{alice.app.uuid}/")
    page.get_by_role("button", name="Test this device").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    page.keyboard.type(alice.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("It works.")


def test_back_without_an_answer(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    page.goto(f"/account/devices/{alice.app.uuid}/")
    page.get_by_role("button", name="Test this device").click()
    expect(page).to_have_url(re.compile("/test/[0-9a-f-]{36}/$"))
    page.get_by_role("link", name="Back to the device").click()
    expect(page).to_have_url(f"/account/devices/{alice.app.uuid}/")
