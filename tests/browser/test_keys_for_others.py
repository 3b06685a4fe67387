"""An administrator enrols somebody's security key in his own machine."""

import re

import pytest
from playwright.sync_api import Page, expect

from devices.models import Device
from tests.browser.steps import alert, give_password, sign_in_with_code, sign_out, use_key
from tests.browser.virtual_key import UsbKey
from tests.conftest import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def bob(transactional_db: None) -> Person:
    """He has no device at all, and the time for a first one is over."""
    return make_person(username="bob", name="Bob Builder", enrol_until=None)


def to_the_desk(page: Page, person: Person) -> None:
    """The administrator, signed in, on the page that enrols a key for the person."""
    ada = make_person("totp", username="ada", name="Ada Admin", is_staff=True, is_superuser=True)
    sign_in_with_code(page, ada)
    page.goto(f"/admin/accounts/user/{person.user.pk}/change/")
    page.get_by_role("link", name="Enrol a security key").click()
    expect(page.get_by_text("You are enrolling a key for Bob Builder (bob)")).to_be_visible()


def test_a_key_is_enrolled_for_bob_and_bob_signs_in_with_it(page: Page, bob: Person) -> None:
    with UsbKey(page):
        to_the_desk(page, bob)
        page.get_by_role("button", name="Enrol security key").click()
        expect(page.get_by_role("status")).to_contain_text("is registered for Bob Builder (bob) and can be used at once")
        expect(page.get_by_text("This is the only security key of Bob Builder")).to_be_visible()
        page.goto("/account/")
        sign_out(page)
        give_password(page, bob)
        use_key(page)
        expect(page).to_have_url("/account/")
    assert Device.objects.get(user=bob.user).enrolled_by is not None


def test_a_second_one_and_the_same_one_again(page: Page, bob: Person) -> None:
    with UsbKey(page):
        to_the_desk(page, bob)
        page.get_by_role("button", name="Enrol security key").click()
        page.get_by_role("link", name="Enrol another one for Bob Builder").click()
        page.get_by_role("button", name="Enrol security key").click()
        expect(alert(page)).to_contain_text("This key is already registered for Bob Builder. Use another key.")
    with UsbKey(page):
        page.get_by_role("button", name="Enrol security key").click()
        expect(page.get_by_role("status")).to_contain_text(re.compile("“Security key 2” is registered"))
        expect(page.get_by_text("Bob Builder has 2 security keys.")).to_be_visible()
    assert Device.objects.filter(user=bob.user, state="active").count() == 2


def test_a_page_left_open_gets_a_new_challenge(page: Page, bob: Person) -> None:
    with UsbKey(page):
        to_the_desk(page, bob)
        page.clock.install()
        page.reload()
        page.clock.fast_forward("04:30")
        with page.expect_response(lambda response: "application/json" in response.headers.get("content-type", "")):
            page.get_by_role("button", name="Enrol security key").click()
        expect(page.get_by_role("status")).to_contain_text("is registered")
