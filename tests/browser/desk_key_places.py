"""The pages on which an administrator enrols a key for somebody."""

from playwright.sync_api import Page, expect

from tests.browser.steps import sign_in_with_code
from tests.browser.virtual_key import UsbKey
from tests.conftest import Person, make_person


def to_the_page(page: Page) -> Person:
    bob = make_person(username="bob", name="Bob Builder")
    sign_in_with_code(page, make_person("totp", username="admin", name="Admin", is_staff=True, is_superuser=True))
    page.goto(f"/admin/people/{bob.user.uuid}/key/")
    expect(page.get_by_role("heading", name="Enrol a security key")).to_be_visible()
    return bob


def key_for_somebody(page: Page) -> None:
    to_the_page(page)


def key_for_somebody_waiting(page: Page) -> None:
    with UsbKey(page) as key, key.untouched():
        to_the_page(page)
        page.get_by_role("button", name="Enrol security key").click()
        expect(page.get_by_role("status")).to_contain_text("Waiting for your key.")


def key_for_somebody_done(page: Page) -> None:
    with UsbKey(page):
        to_the_page(page)
        page.get_by_role("button", name="Enrol security key").click()
        expect(page.get_by_role("heading", name="The key is enrolled")).to_be_visible()


def key_for_somebody_refused(page: Page) -> None:
    to_the_page(page)
    page.evaluate("document.querySelector('[name=response]').value = '{}'; document.querySelector('[data-webauthn]').submit()")
    expect(page.get_by_role("alert")).to_be_visible()


def key_for_somebody_disabled(page: Page) -> None:
    bob = to_the_page(page)
    type(bob.user).objects.filter(pk=bob.user.pk).update(is_active=False)
    page.reload()
    expect(page.get_by_role("alert")).to_have_text("This person is disabled.")


PLACES = [
    key_for_somebody,
    key_for_somebody_waiting,
    key_for_somebody_done,
    key_for_somebody_refused,
    key_for_somebody_disabled,
]
