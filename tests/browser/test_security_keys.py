"""Every kind of security key in the hands of its owner, and of others."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from devices.kinds import fido2
from devices.lifecycle import State
from devices.models import Device
from tests.browser.conftest import Complaints
from tests.browser.steps import (
    add_key,
    alert,
    choose,
    enrol_key,
    expect_nobody_signed_in,
    give_password,
    sign_in_with_code,
    sign_in_with_key,
    sign_out,
    use_key,
)
from tests.browser.virtual_key import EVERY_KIND, NfcKey, Platform, U2fKey, UsbKey, VirtualKey
from tests.conftest import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NOTHING = "Nothing came back from the key."
RAW = re.compile("NotAllowed|DOMException|w3[.]org|operation|timed out|undefined", re.IGNORECASE)
SOON_MS = 1_300  # a browser's time-out that a test can wait for; under a second the page takes it for "cancelled"
SLOW_FINGERS = """
for (const name of ["get", "create"]) {
  const quick = navigator.credentials[name].bind(navigator.credentials);
  navigator.credentials[name] = async (options) => {
    await new Promise((done) => setTimeout(done, 1100));
    return quick(options);
  };
}
"""


@pytest.fixture
def alice(transactional_db: None) -> Person:
    """She has an authenticator app."""
    return make_person("totp", username="alice")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser gives up soon."""
    monkeypatch.setattr(fido2, "TIMEOUT_MS", SOON_MS)


def to_the_key(page: Page, person: Person) -> None:
    """The person enrols the key, signs out, and stands at the second step with it."""
    sign_in_with_code(page, person)
    name = enrol_key(page)
    sign_out(page)
    give_password(page, person)
    choose(page, name)


def expect_nothing_came_back(page: Page) -> None:
    """The one neutral card, nothing of what the browser calls it, and the button is there for another try."""
    expect(page.get_by_role("alert")).to_contain_text(NOTHING)
    assert not RAW.search(page.get_by_role("main").inner_text())
    button = page.get_by_role("button", name=re.compile("security key"))
    expect(button).to_be_enabled()
    expect(button).to_be_focused()


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.__name__)
def test_a_key_is_enrolled_and_signs_in(kind: type[VirtualKey], page: Page, alice: Person) -> None:
    with kind(page):
        sign_in_with_code(page, alice)
        name = enrol_key(page)
        assert name == kind.device_name
        sign_out(page)
        sign_in_with_key(page, alice, name)
        expect(page.get_by_role("main")).to_contain_text("with a password and a security key")
        sign_out(page)
        expect_nobody_signed_in(page)


def test_the_key_used_last_is_offered_first(page: Page, alice: Person) -> None:
    with UsbKey(page) as key:
        sign_in_with_code(page, alice)
        name = enrol_key(page)
        sign_out(page)
        sign_in_with_key(page, alice, name)
        sign_out(page)
        give_password(page, alice)
        expect(page.get_by_role("heading", level=1)).to_have_text("Use your security key")
        use_key(page)
        expect(page).to_have_url("/account/")
        assert key.counter() == 3


def test_a_key_that_nobody_touches(page: Page, alice: Person, impatient: None) -> None:
    with UsbKey(page) as key:
        to_the_key(page, alice)
        with key.untouched():
            use_key(page)
            expect(page.get_by_role("status")).to_contain_text("Waiting for your key.")
            expect(page.get_by_role("button", name="Use my security key")).to_be_disabled()
            expect_nothing_came_back(page)
        use_key(page)
        expect(page).to_have_url("/account/")


def test_no_key_at_all(page: Page, alice: Person, impatient: None) -> None:
    sign_in_with_code(page, alice)
    page.goto("/account/devices/add/fido2/")
    add_key(page)
    expect_nothing_came_back(page)
    assert not Device.objects.filter(kind="fido2", state=State.ACTIVE).exists()


def test_the_key_left_at_home(page: Page, alice: Person, impatient: None) -> None:
    with UsbKey(page):
        to_the_key(page, alice)
    use_key(page)
    expect_nothing_came_back(page)
    expect_nobody_signed_in(page)


@pytest.mark.parametrize("slowly", [True, False])
def test_a_wrong_pin(slowly: bool, page: Page, alice: Person, settings: Settings) -> None:
    settings.USER_VERIFICATION = "required"
    if slowly:
        page.add_init_script(SLOW_FINGERS)
    with UsbKey(page) as key:
        to_the_key(page, alice)
        with key.wrong_pin():
            use_key(page)
            if slowly:
                expect_nothing_came_back(page)
            else:  # so quick that it can only have been cancelled: no reproach, just the button again
                expect(page.get_by_role("button", name="Use my security key")).to_be_focused()
                expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.get_by_role("heading", level=1)).to_have_text("Use your security key")
        use_key(page)
        expect(page).to_have_url("/account/")


def test_somebody_elses_key(page: Page, alice: Person) -> None:
    page.add_init_script(SLOW_FINGERS)
    with UsbKey(page):
        to_the_key(page, alice)
    with UsbKey(page):
        use_key(page)
        expect_nothing_came_back(page)
    expect_nobody_signed_in(page)


@pytest.mark.parametrize("kind", [UsbKey, U2fKey, Platform], ids=lambda kind: kind.__name__)
def test_a_key_is_not_registered_twice(kind: type[VirtualKey], page: Page, alice: Person) -> None:
    with kind(page):
        sign_in_with_code(page, alice)
        enrol_key(page)
        page.goto("/account/devices/add/fido2/")
        add_key(page)
        expect(alert(page)).to_have_text("This key is already registered for you. Use another key.")
    assert Device.objects.filter(kind="fido2", state=State.ACTIVE).count() == 1


def test_a_second_key_gets_a_number(page: Page, alice: Person) -> None:
    sign_in_with_code(page, alice)
    with UsbKey(page):
        assert enrol_key(page) == "Security key"
    with NfcKey(page):
        assert enrol_key(page) == "Security key 2"


@pytest.mark.parametrize("wrong", ["bogus_signature", "no_presence"])
def test_a_key_that_answers_wrongly(wrong: str, page: Page, alice: Person) -> None:
    with UsbKey(page) as key:
        to_the_key(page, alice)
        key.sabotage(**{wrong: True})
        use_key(page)
        expect(alert(page)).to_contain_text("was not right")
        assert not RAW.search(page.get_by_role("main").inner_text())
        expect(page).to_have_title(re.compile("^Error: "))
        expect_nobody_signed_in(page)


def test_a_copied_key_is_suspended(page: Page, open_page: Callable[..., Page], alice: Person) -> None:
    with UsbKey(page) as original:
        sign_in_with_code(page, alice)
        name = enrol_key(page)
        copied_at = original.counter()
        sign_out(page)
        sign_in_with_key(page, alice, name)
        thief = open_page()
        with UsbKey(thief) as copy:
            original.copy_onto(copy, counter=copied_at - 1)
            give_password(thief, alice)
            use_key(thief)
            expect(alert(thief)).to_contain_text("so it was suspended")
            expect_nobody_signed_in(thief)
        assert Device.objects.get(kind="fido2").state == State.SUSPENDED
        expect_nobody_signed_in(page)  # what the original had opened is over, too


def test_a_copied_key_that_is_ahead_gives_the_original_away(page: Page, open_page: Callable[..., Page], alice: Person) -> None:
    with UsbKey(page) as original:
        sign_in_with_code(page, alice)
        name = enrol_key(page)
        sign_out(page)
        thief = open_page()
        with UsbKey(thief) as copy:
            original.copy_onto(copy, counter=original.counter() + 5)
            sign_in_with_key(thief, alice, name)
        give_password(page, alice)
        choose(page, name)
        use_key(page)
        expect(alert(page)).to_contain_text("so it was suspended")
        assert Device.objects.get(kind="fido2").state == State.SUSPENDED
        expect_nobody_signed_in(thief)


def test_the_wrong_address(page: Page, alice: Person, site: str, settings: Settings) -> None:
    settings.RP_ID = "login.example.org"
    with UsbKey(page):
        sign_in_with_code(page, alice)
        page.goto("/account/devices/add/fido2/")
        add_key(page)
        expect(alert(page)).to_contain_text(f"Security keys work only at the right address of this site: {site}")


def test_a_browser_without_security_keys(page: Page, alice: Person) -> None:
    page.add_init_script("delete window.PublicKeyCredential")
    sign_in_with_code(page, alice)
    page.goto("/account/devices/add/fido2/")
    expect(alert(page)).to_contain_text("This browser cannot talk to security keys.")
    expect(page.get_by_role("button", name="Add security key")).to_be_disabled()


def test_a_page_left_open_gets_a_new_challenge(page: Page, alice: Person) -> None:
    with UsbKey(page):
        to_the_key(page, alice)
        page.clock.install()
        page.reload()
        page.clock.fast_forward("04:30")
        with page.expect_response(lambda response: "application/json" in response.headers.get("content-type", "")):
            use_key(page)
        expect(page).to_have_url("/account/")


def test_a_page_left_open_without_network(page: Page, alice: Person, complaints: Complaints) -> None:
    with UsbKey(page):
        to_the_key(page, alice)
        page.clock.install()
        page.reload()
        page.clock.fast_forward("04:30")
        page.context.set_offline(True)
        use_key(page)
        expect(alert(page)).to_contain_text("The site did not answer.")
        complaints.forgive("ERR_INTERNET_DISCONNECTED")
        page.context.set_offline(False)
        use_key(page)
        expect(page).to_have_url("/account/")
