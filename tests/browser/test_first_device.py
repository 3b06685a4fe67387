"""A new person has a password and nothing else; the first sign-in ends with a device."""

import pyotp
import pytest
from playwright.sync_api import Page, expect

from devices.models import Device
from tests.browser.steps import (
    add_key,
    enter_code,
    expect_nobody_signed_in,
    expect_signed_in,
    give_password,
    sign_in_with_key,
    sign_out,
)
from tests.browser.virtual_key import UsbKey
from tests.conftest import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def nora(transactional_db: None) -> Person:
    """She has no device yet."""
    return make_person(username="nora")


def to_the_choice(page: Page, person: Person) -> None:
    """The right password leads to the choice of a first device."""
    give_password(page, person)
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up a second factor")


def test_the_first_device_is_a_key(page: Page, nora: Person) -> None:
    with UsbKey(page):
        to_the_choice(page, nora)
        page.get_by_role("link", name="Security key").click()
        add_key(page)
        expect_signed_in(page)
        sign_out(page)
        sign_in_with_key(page, nora, "Security key")


def test_the_first_device_is_an_app(page: Page, nora: Person) -> None:
    to_the_choice(page, nora)
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_text("Or type it in").click()
    app = pyotp.TOTP(page.locator(".key").inner_text().replace(" ", ""))
    enter_code(page, app.now())
    expect_signed_in(page)
    [device] = Device.objects.filter(user=nora.user)
    assert device.kind == "totp"


def test_changing_ones_mind_leaves_one_device(page: Page, nora: Person) -> None:
    to_the_choice(page, nora)
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_role("link", name="Choose something else").click()
    page.get_by_role("link", name="Security key").click()
    with UsbKey(page):
        add_key(page)
        expect_signed_in(page)
    [device] = Device.objects.filter(user=nora.user)
    assert device.kind == "fido2"


def test_the_password_alone_signs_nobody_in(page: Page, nora: Person) -> None:
    to_the_choice(page, nora)
    expect_nobody_signed_in(page)


def test_cancelling_goes_back_to_the_start(page: Page, nora: Person) -> None:
    to_the_choice(page, nora)
    choice = page.url
    page.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url("/sign-in/")
    page.goto(choice)
    expect(page.get_by_role("heading", level=1)).to_have_text("Start again")
