"""The whole way in by keyboard alone, always seeing where one is."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import forgotten
from audit.events import record
from devices.models import Device
from mfa_site.client import Client
from tests.browser.places import elsewhere
from tests.browser.steps import enrol_key, expect_signed_in, grow_old, sign_in_with_code, sign_out
from tests.browser.virtual_key import UsbKey
from tests.conftest import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MOST_STOPS = 15
NEW = "quiet river seven lamps"
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
    """Tab after tab until the focus is on what begins with this name."""
    passed = []
    for _stop in range(MOST_STOPS):
        page.keyboard.press("Tab")
        passed.append(here(page))
        if passed[-1].startswith(name):
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


def follow(page: Page, name: str, path: str) -> None:
    """To what begins with this name, and on; it leads there."""
    tab_to(page, name)
    page.keyboard.press("Enter")
    expect(page).to_have_url(path)


def type_new_password(page: Page) -> None:
    """Into both fields; the form is sent from the second."""
    tab_to(page, "New password")
    page.keyboard.type(NEW)
    tab_to(page, "New password once more")
    page.keyboard.type(NEW)
    page.keyboard.press("Enter")


def test_a_forgotten_password(page: Page, alice: Person) -> None:
    page.goto("/sign-in/")
    follow(page, "Forgotten your password?", "/password/forgotten/")
    assert here(page) == "Username"
    page.keyboard.type("alice")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Look into your mailbox.")
    page.goto(f"/password/reset/{forgotten.new_code(alice.user, timezone.now())}/")
    assert here(page) == "New password"
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Use at least 8 characters")).to_be_visible()
    assert here(page) == "New password"
    page.keyboard.press("Shift+Tab")
    type_new_password(page)
    expect(page.get_by_role("status")).to_have_text("Password changed. Sign in.")


def test_the_password_is_changed(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    follow(page, "Your password", "/account/password/")
    assert here(page) == "Current password"
    page.keyboard.type("not-the-password")
    type_new_password(page)
    expect(page.get_by_text("That is not the password you have now.")).to_be_visible()
    assert here(page) == "Current password"
    page.keyboard.type(alice.password)
    type_new_password(page)
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")


def test_a_lost_device_is_reported_after_a_confirmation(page: Page, alice: Person) -> None:
    spare = make_person("totp")
    Device.objects.filter(pk=spare.app.pk).update(user=alice.user, name="Spare phone")
    sign_in_with_code(page, alice)
    grow_old()
    follow(page, "Devices", "/account/devices/")
    follow(page, "Spare phone", f"/account/devices/{spare.app.uuid}/")
    tab_to(page, "I lost this device")
    page.keyboard.press("Enter")
    tab_to(page, "Report it lost")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm it is you")
    assert here(page) == "Code"
    page.keyboard.type(alice.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Confirmed.")
    assert here(page) == "Report it lost"
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("“Spare phone” is reported lost")


def test_sessions_are_ended(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    elsewhere(alice)
    follow(page, "Sessions", "/account/sessions/")
    tab_to(page, "End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("That session was ended.")
    tab_to(page, "End all others")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("2 other sessions were ended.")
    tab_to(page, "Sign out here")
    page.keyboard.press("Enter")
    expect(page).to_have_url("/sign-in/?signed_out=1")


def test_activity_is_read_page_by_page(page: Page, alice: Person) -> None:
    for _ in range(25):
        record("signed_out", client=Client("192.0.2.1", "curl/8.1", "request-1"), person=alice.user.uuid)
    sign_in_with_code(page, alice)
    follow(page, "All activity", "/account/activity/")
    tab_to(page, "Older")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    follow(page, "Newest", "/account/activity/")
    follow(page, "Back to your account", "/account/")


def test_the_first_stop_skips_to_the_content(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    page.goto("/account/devices/")
    page.keyboard.press("Tab")
    assert here(page) == "Skip to the content"
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_the_audit_is_searched_and_exported_by_keyboard(transactional_db: None, page: Page) -> None:
    ada = make_person("totp", username="ada")
    record("device_lost", client=Client("192.0.2.7", "", "request-1"), person=ada.user.uuid)
    sign_in_with_code(page, make_person("totp", username="vera", is_staff=True, is_superuser=True))
    page.goto("/admin/audit/")
    tab_to(page, "Person")
    page.keyboard.type("ada")
    page.keyboard.press("Enter")
    expect(page.get_by_text("was reported lost")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/admin/audit/\?person=ada"))
    for name in ("Request", "Export these events"):
        tab_to(page, name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Export")
    tab_to(page, "CSV")
    page.keyboard.press("ArrowDown")
    tab_to(page, "Export")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    saved = waiting.value
    assert saved.suggested_filename.endswith(".jsonl")
    [line] = saved.path().read_text().splitlines()
    assert '"act": "device_lost"' in line
