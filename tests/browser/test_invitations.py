"""An administrator invites, a person comes: link or code, password, a real key, signed in."""

from collections.abc import Callable
from typing import Any

import pyotp
import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Invitation
from devices.models import Device
from tests.browser.desk_invitation_places import at_the_desk, go_on, invited
from tests.browser.steps import (
    add_key,
    choose,
    enter_code,
    expect_nobody_signed_in,
    expect_signed_in,
    sign_in_with_key,
    sign_out,
)
from tests.browser.virtual_key import UsbKey

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def states() -> list[str]:
    return [row.state(timezone.now()).value for row in Invitation.objects.order_by("id")]


def test_from_the_desk_to_a_new_key(page: Page, open_page: Callable[..., Page]) -> None:
    ada = at_the_desk(page)
    page.get_by_role("button", name="Make an invitation").click()
    url = page.locator("code.secret").first.inner_text()
    hers = open_page()
    hers.goto(url)
    go_on(hers, ada)
    expect_nobody_signed_in(hers)
    hers.goto(url)
    with UsbKey(hers):
        go_on(hers, ada)
        hers.get_by_role("link", name="Security key").click()
        add_key(hers)
        expect_signed_in(hers)
        sign_out(hers)
        sign_in_with_key(hers, ada, "Security key")
    assert states() == ["done"]
    page.reload()
    page.goto(f"/admin/people/{ada.user.uuid}/invite/")
    expect(page.get_by_text("Done")).to_be_visible()


def test_a_mail_scanner_looks_first(page: Page) -> None:
    ada, made = invited("totp", ask_surviving_factor=False)
    assert page.request.head(made.url).ok
    for _ in range(3):
        assert page.request.get(made.url).ok
    assert states() == ["sent"]
    with UsbKey(page):
        page.goto(made.url)
        go_on(page, ada)
        page.get_by_role("link", name="Security key").click()
        add_key(page)
        expect_signed_in(page)
    assert set(Device.objects.values_list("kind", "state")) == {("totp", "active"), ("fido2", "active")}
    page.goto(made.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("This invitation is over")


def test_the_key_that_is_left_is_asked_for(page: Page) -> None:
    ada, made = invited("totp", "recovery")
    page.goto(made.url)
    go_on(page, ada)
    choose(page, "Authenticator app")
    enter_code(page, ada.code())
    with UsbKey(page):
        page.get_by_role("link", name="Security key").click()
        add_key(page)
        expect_signed_in(page)


def test_the_address_keeps_no_code(page: Page) -> None:
    _ada, made = invited()
    page.goto(made.url)
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url("/enrol/password/")
    assert made.url.split("/")[-2] not in page.content()


def test_without_javascript(open_page: Callable[..., Page], transactional_db: Any) -> None:
    page = open_page(java_script_enabled=False)
    ada, made = invited()
    page.goto("/enrol/")
    page.get_by_label("Code", exact=True).fill(made.code.upper())
    go_on(page, ada)
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_text("Or type it in").click()
    enter_code(page, pyotp.TOTP(page.locator(".key").inner_text().replace(" ", "")).now())
    expect_signed_in(page)


def test_on_paper_there_is_what_the_person_needs_and_no_more(page: Page) -> None:
    at_the_desk(page, "totp")
    page.get_by_role("button", name="Make an invitation").click()
    page.emulate_media(media="print")
    expect(page.get_by_role("img", name="QR code of the link")).to_be_visible()
    expect(page.locator("code.secret")).to_have_count(2)
    for rest in (page.locator("#header"), page.locator(".breadcrumbs"), page.get_by_text("I have handed it over")):
        expect(rest).not_to_be_visible()
