"""The whole way in by keyboard alone, always seeing where one is."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.steps import enrol_key, expect_signed_in, sign_in_with_code, sign_out
from tests.browser.virtual_key import UsbKey
from tests.conftest import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MOST_STOPS = 15
WHERE = """() => {
  const here = document.activeElement, box = here.getBoundingClientRect(), style = getComputedStyle(here);
  return {
    name: (here.labels?.[0] ?? here).textContent.trim(),
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    onScreen: box.width > 0 && box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight,
  };
}"""


@pytest.fixture
def alice(transactional_db: None) -> Person:
    """She has an authenticator app."""
    return make_person("totp", username="alice")


def here(page: Page) -> str:
    """The name of what has the focus, which must be to be seen."""
    where = page.evaluate(WHERE)
    assert where["ring"], f"no ring around {where['name']!r}"
    assert where["onScreen"], f"{where['name']!r} has the focus off the screen"
    return str(where["name"])


def tab_to(page: Page, name: str) -> None:
    """Tab after tab until the focus is there."""
    passed = []
    for _stop in range(MOST_STOPS):
        page.keyboard.press("Tab")
        passed.append(here(page))
        if passed[-1] == name:
            return
    raise AssertionError(f"no {name!r} among {passed}")


def type_password(page: Page, person: Person) -> None:
    """Name and password; the focus starts in the first field."""
    page.goto("/sign-in/")
    assert here(page) == "Username"
    page.keyboard.type(person.user.username)
    tab_to(page, "Password")
    page.keyboard.type(person.password)
    tab_to(page, "Sign in")
    page.keyboard.press("Enter")
    expect(page).not_to_have_url("/sign-in/")


def test_sign_in_with_the_app_and_out(page: Page, alice: Person) -> None:
    type_password(page, alice)
    assert here(page) == "Code"
    page.keyboard.type(alice.wrong_code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_focused()
    tab_to(page, "Code")
    page.keyboard.type(alice.code())
    page.keyboard.press("Enter")
    expect_signed_in(page)
    tab_to(page, "Sign out")
    page.keyboard.press("Enter")
    expect(page).to_have_url("/sign-in/?signed_out=1")


def test_sign_in_with_the_key(page: Page, alice: Person) -> None:
    with UsbKey(page):
        sign_in_with_code(page, alice)
        enrol_key(page)
        sign_out(page)
        type_password(page, alice)
        tab_to(page, "Use another way")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("How do you want to sign in?")
        page.get_by_role("link", name="Security key").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Use your security key")
        expect(page.get_by_role("button", name="Use my security key")).to_be_focused()
        page.keyboard.press("Space")
        expect_signed_in(page)


def test_a_key_is_enrolled(page: Page, alice: Person) -> None:
    with UsbKey(page):
        sign_in_with_code(page, alice)
        tab_to(page, "Devices")
        page.keyboard.press("Enter")
        expect(page).to_have_url("/account/devices/")
        tab_to(page, "Add a device")
        page.keyboard.press("Enter")
        expect(page).to_have_url("/account/devices/add/")
        page.get_by_role("link", name="Security key").focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url("/account/devices/add/fido2/")
        expect(page.get_by_role("button", name="Add security key")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("is ready")


def test_the_first_stop_skips_to_the_content(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    page.goto("/account/devices/")
    page.keyboard.press("Tab")
    assert here(page) == "Skip to the content"
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
