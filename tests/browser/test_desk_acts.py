"""The desk's story in a browser: a token is handed out, signs in, is lost, and a temporary code leads to a new key."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from devices.models import Device
from tests.authenticators import Button
from tests.browser.steps import enrol_key, enter_code, expect_signed_in, give_password, sign_in_with_code
from tests.browser.virtual_key import UsbKey
from tests.conftest import Person, make_person, make_token
from tests.test_roles import member

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without"])
def desk(request: pytest.FixtureRequest, open_page: Callable[..., Page]) -> Page:
    """The browser of somebody at the token desk."""
    return open_page(java_script_enabled=request.param)


def at_home(page: Page, ada: Person, held: Button) -> None:
    """Ada signs in with her token."""
    give_password(page, ada)
    enter_code(page, held.next())
    expect_signed_in(page)


def test_handed_out_signed_in_lost_and_a_code_for_the_day(
    desk: Page, open_page: Callable[..., Page], transactional_db: None
) -> None:
    sign_in_with_code(desk, member("Token desk", username="desk", name="Dora Desk"))
    ada, held = make_person("recovery", username="ada", name="Ada Example"), make_token("hotp", serial="AB-7")
    assert isinstance(held, Button)
    desk.goto("/admin/")
    desk.get_by_role("link", name="Hand out a token").click()
    for field, typed in (("Serial", "ab-7"), ("Person", "Ada")):  # as a scanner types, with Enter; what is due has the focus
        expect(desk.get_by_label(field)).to_be_focused()
        desk.keyboard.type(typed)
        desk.keyboard.press("Enter")
    expect(desk.get_by_label("Code, if you want to check it")).to_be_focused()
    desk.keyboard.type(held.next())
    desk.get_by_role("button", name="Hand it out").click()
    expect(desk.get_by_text("AB-7” was handed out to ada.")).to_be_visible()
    expect(desk.get_by_text("Dora Desk")).to_be_visible()

    page = open_page()
    at_home(page, ada, held)

    row = Device.objects.get(serial="AB-7")
    desk.goto("/admin/devices/device/?q=AB-7")
    desk.get_by_role("link", name=row.name).first.click()
    desk.get_by_role("link", name="Report lost").click()
    desk.get_by_label("Stolen").check()
    desk.get_by_label("I know the person").check()
    desk.get_by_label("Why:").fill("Bag stolen on the train")
    desk.get_by_label("Issue a temporary code").check()
    desk.get_by_role("button", name="Report it").click()
    code = desk.locator(".secret").inner_text()

    page.reload()
    expect(page).to_have_url(re.compile("/sign-in/"))
    give_password(page, ada)
    expect(page.get_by_role("link", name="Recovery codes")).to_be_visible()
    expect(page.get_by_role("link", name=row.name)).to_have_count(0)
    page.get_by_role("link", name="Temporary code").click()
    enter_code(page, code)
    UsbKey(page).plug_in()
    assert "key" in enrol_key(page).lower()


def test_only_the_receipt_comes_on_paper(open_page: Callable[..., Page], transactional_db: None) -> None:
    page = open_page()
    sign_in_with_code(page, member("Token desk", username="desk"))
    make_person(username="ada"), make_token("totp", serial="AB-8")
    page.goto("/admin/hand-out/?serial=AB-8&person=ada")
    page.get_by_role("button", name="Hand it out").click()
    expect(page.get_by_text("Date and signature")).to_be_visible()
    page.emulate_media(media="print")
    for hidden in ("Hand out the next token", "To print it use the menu", "was handed out to ada", "Your account"):
        expect(page.get_by_text(hidden)).to_be_hidden()
    expect(page.get_by_text("Date and signature")).to_be_visible()
