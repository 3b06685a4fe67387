"""What a person does on the pages, one function for each step of the story."""

import re
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from accounts.models import BrowserSession
from devices.models import Device
from tests.conftest import Person

ACCOUNT = "/account/"


def give_password(page: Page, person: Person, *, path: str = "/sign-in/", password: str = "") -> None:
    """Name and password, and on."""
    page.goto(path)
    page.get_by_label("Username").fill(person.user.username)
    page.get_by_label("Password").fill(password or person.password)
    page.get_by_role("button", name="Sign in").click()


def enter_code(page: Page, code: str) -> None:
    """The code of the app, and on."""
    page.get_by_label("Code", exact=True).fill(code)
    page.get_by_role("button", name="Continue").click()


def sign_in_with_code(page: Page, person: Person, code: str = "") -> None:
    """Password and code; ends on the account page."""
    give_password(page, person)
    enter_code(page, code or person.code())
    expect_signed_in(page)


def choose(page: Page, device: str) -> None:
    """The second step with this device, through the list if another one is offered first."""
    expect(page.get_by_role("link", name="Use another way")).to_be_visible()
    if device not in page.get_by_role("main").inner_text():
        page.get_by_role("link", name="Use another way").click()
        page.get_by_role("link", name=device).click()


def use_key(page: Page) -> None:
    """The button that asks for the key at sign-in."""
    page.get_by_role("button", name="Use my security key").click()


def sign_in_with_key(page: Page, person: Person, device: str) -> None:
    """Password and key; ends on the account page."""
    give_password(page, person)
    choose(page, device)
    use_key(page)
    expect_signed_in(page)


def add_key(page: Page) -> None:
    """The button that asks for the key at its enrolment."""
    page.get_by_role("button", name="Add security key").click()


def enrol_key(page: Page) -> str:
    """A signed-in person adds a key; its name, from its page."""
    page.goto("/account/devices/add/fido2/")
    add_key(page)
    expect(page).to_have_url(re.compile(r"/account/devices/[0-9a-f-]{36}/$"))
    expect(page.get_by_role("status")).to_contain_text("is ready")
    return page.get_by_role("heading", level=1).inner_text()


def grow_old() -> None:
    """Everybody proved who they are more than five minutes ago, and codes of this moment were not used yet."""
    BrowserSession.objects.exclude(person=None).update(auth_time=timezone.now() - timedelta(seconds=301))
    Device.objects.filter(kind="totp").update(counter=-1)


def sign_out(page: Page) -> None:
    """By the button that every page has."""
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url("/sign-in/?signed_out=1")


def expect_signed_in(page: Page) -> None:
    """On the account page, with a session cookie that no script can read."""
    expect(page).to_have_url(ACCOUNT)
    [cookie] = [cookie for cookie in page.context.cookies() if cookie["name"] == settings.SESSION_COOKIE_NAME]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def expect_nobody_signed_in(page: Page) -> None:
    """The account page asks for a sign-in."""
    page.goto(ACCOUNT)
    expect(page).to_have_url(re.compile(r"/sign-in/\?next="))
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def alert(page: Page) -> Locator:
    """What went wrong, as the page says it."""
    return page.get_by_role("alert")
