"""With JavaScript switched off everything works but security keys, and they say so."""

import re
from collections.abc import Callable

import pyotp
import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings

from accounts import notices
from audit.events import record
from mfa_site.client import Client
from tests.browser.places import elsewhere
from tests.browser.steps import choose, enter_code, give_password, grow_old, sign_in_with_code, sign_out
from tests.conftest import Person, make_person
from tests.post_office import post_office

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SAYS = "Security keys need JavaScript, and it is switched off in this browser."


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A page of a browser without JavaScript."""
    return open_page(java_script_enabled=False)


@pytest.fixture
def alice(transactional_db: None) -> Person:
    """She has an authenticator app and a security key."""
    return make_person("totp", "fido2", username="alice")


def expect_it_says_so(page: Page) -> None:
    """Beside the button that cannot work; Playwright's own text matching passes `noscript` by."""
    notice = page.locator("noscript p")
    expect(notice).to_be_visible()
    assert SAYS in notice.evaluate("element => element.innerText")


def test_password_and_code(page: Page, alice: Person) -> None:
    give_password(page, alice)
    choose(page, "Authenticator app")
    enter_code(page, alice.code())
    expect(page).to_have_url("/account/")
    sign_out(page)


def test_a_device_is_added_renamed_and_removed(page: Page, transactional_db: None) -> None:
    sign_in_with_code(page, make_person("totp"))
    page.get_by_role("link", name="Your devices").click()
    page.get_by_role("link", name="Add a device").click()
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_text("Or type it in").click()
    app = pyotp.TOTP(page.locator(".key").inner_text().replace(" ", ""))
    enter_code(page, app.now())
    expect(page.get_by_role("status")).to_contain_text("“Authenticator app 2” is ready.")

    page.get_by_label("Name").fill("Old phone")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("status")).to_have_text("The device is now called “Old phone”.")

    page.get_by_text("Remove this device").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("“Old phone” was removed.")
    expect(page).to_have_url("/account/devices/")
    expect(page.get_by_role("listitem")).to_have_count(1)


def test_a_forgotten_password_is_changed_by_the_link_from_the_mail(
    page: Page, transactional_db: None, settings: Settings
) -> None:
    person = make_person("totp", username="nina")
    with post_office(settings) as office:
        page.goto("/sign-in/")
        page.get_by_role("link", name="Forgotten your password?").click()
        page.get_by_label("Username").fill("nina")
        page.get_by_role("button", name="Send me a link").click()
        expect(page.get_by_role("status")).to_have_text("Look into your mailbox.")
        assert notices.send_due(timezone.now()) == 1
    link = re.search(r"http://localhost:\d+(/password/reset/\S+)", office.texts[0])
    assert link
    page.goto(link.group(1))
    for label in ("New password", "New password once more"):
        page.get_by_label(label, exact=True).fill("quiet river seven lamps")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_have_text("Password changed. Sign in.")
    person.password = "quiet river seven lamps"
    sign_in_with_code(page, person)


def test_the_password_is_changed(page: Page, transactional_db: None) -> None:
    person = make_person("totp")
    sign_in_with_code(page, person)
    page.get_by_role("link", name="Your password").click()
    for label in ("Current password", "New password", "New password once more"):
        page.get_by_label(label, exact=True).fill(person.password if label.startswith("Current") else "quiet river seven lamps")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")


def test_a_lost_device_ends_what_it_opened_after_a_confirmation(page: Page, transactional_db: None) -> None:
    person = make_person("totp", "recovery")
    sign_in_with_code(page, person)
    grow_old()
    page.goto("/account/devices/")
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_text("I lost this device").click()
    page.get_by_role("button", name="Report it lost").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm it is you")
    enter_code(page, person.code())
    page.get_by_role("button", name="Report it lost").click()
    expect(page.get_by_role("status")).to_contain_text("Your device is reported lost")
    give_password(page, person)
    page.get_by_role("link", name="Recovery codes").click()
    enter_code(page, person.codes[0])
    expect(page.get_by_role("heading", level=1)).to_have_text("You used a recovery code")


def test_sessions_are_ended(page: Page, transactional_db: None) -> None:
    person = make_person("totp")
    sign_in_with_code(page, person)
    elsewhere(person)
    page.get_by_role("link", name="Sessions", exact=True).click()
    page.get_by_role("button", name="Safari on iPhone").click()
    expect(page.get_by_role("status")).to_have_text("That session was ended.")
    page.get_by_role("button", name="End all others").click()
    expect(page.get_by_role("status")).to_have_text("2 other sessions were ended.")
    page.get_by_role("button", name="Sign out here").click()
    expect(page).to_have_url("/sign-in/?signed_out=1")


def test_activity_is_read_page_by_page(page: Page, transactional_db: None) -> None:
    person = make_person("totp")
    for _ in range(25):
        record("signed_out", client=Client("192.0.2.1", "curl/8.1", "request-1"), person=person.user.uuid)
    sign_in_with_code(page, person)
    page.get_by_role("link", name="All activity").click()
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Newest").click()
    page.get_by_role("link", name="Back to your account").click()
    expect(page).to_have_url("/account/")


def test_the_last_device_stays(page: Page, transactional_db: None) -> None:
    sign_in_with_code(page, make_person("totp"))
    page.goto("/account/devices/")
    page.get_by_role("listitem").get_by_role("link").click()
    page.get_by_text("Remove this device").click()
    expect(page.get_by_text("Add another way to sign in before you remove this one.")).to_be_visible()
    expect(page.get_by_role("button", name="Remove", exact=True)).to_have_count(0)


def test_the_key_pages_say_that_they_need_it(page: Page, alice: Person) -> None:
    give_password(page, alice)
    choose(page, "Security key")
    expect_it_says_so(page)
    page.get_by_role("link", name="Use another way").click()
    page.get_by_role("link", name=re.compile("^Authenticator app")).click()
    enter_code(page, alice.code())
    page.goto("/account/devices/add/fido2/")
    expect_it_says_so(page)
