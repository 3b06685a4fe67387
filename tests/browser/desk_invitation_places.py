"""The pages of an invitation, at the desk and for the person, in every state that looks different; `places` knows them too."""

import re
from typing import Any

from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import invitations
from accounts.invitations import Made
from audit.events import OPERATOR
from mfa_site.client import Client
from tests.browser.steps import sign_in_with_code
from tests.conftest import Person, make_person


def invited(*kinds: str, **more: Any) -> tuple[Person, Made]:
    """Ada with devices of these kinds, and an invitation for her."""
    ada = make_person(*kinds, username="ada")
    caller, now = Client("", "", ""), timezone.now()
    return ada, invitations.make(ada.user, ["fido2", "totp", "hotp"], caller, now, actor=OPERATOR, **more)


def go_on(page: Page, person: Person) -> None:
    """From the link's page through the password."""
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Continue").click()


def invitation(page: Page) -> None:
    _ada, made = invited()
    page.goto(made.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("You are invited to add a device")


def invitation_code(page: Page) -> None:
    page.goto("/enrol/")


def invitation_code_wrong(page: Page) -> None:
    page.goto("/enrol/")
    page.get_by_label("Code", exact=True).fill("00000-00000")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("not the code of an open invitation")


def invitation_code_left_empty(page: Page) -> None:
    page.goto("/enrol/")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Enter the code of your invitation.")).to_be_visible()


def invitation_password(page: Page) -> None:
    invitation(page)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Enter your password")


def invitation_password_wrong(page: Page) -> None:
    invitation_password(page)
    page.get_by_label("Password").fill("not-the-password")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_be_visible()


def invitation_choice(page: Page) -> None:
    ada, made = invited()
    page.goto(made.url)
    go_on(page, ada)
    expect(page.get_by_role("heading", level=1)).to_have_text("Add a device")


def invitation_asks_first(page: Page) -> None:
    ada, made = invited("totp")
    page.goto(made.url)
    go_on(page, ada)
    expect(page.get_by_label("Code", exact=True)).to_be_visible()


def invitation_over(page: Page) -> None:
    page.goto("/enrol/AAAAAAAAAAAAAAAAAAAAAA/")
    expect(page.get_by_role("heading", level=1)).to_have_text("This invitation is over")


def invitation_of_another(page: Page) -> None:
    _ada, made = invited()
    sign_in_with_code(page, make_person("totp", username="mallory"))
    page.goto(made.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("This invitation is for somebody else")


def at_the_desk(page: Page, *kinds: str) -> Person:
    """An administrator, on the page on which Ada is invited."""
    ada = make_person(*kinds, username="ada")
    sign_in_with_code(page, make_person("totp", username="admin", is_staff=True, is_superuser=True))
    page.goto(f"/admin/people/{ada.user.uuid}/invite/")
    return ada


def desk_invite(page: Page) -> None:
    at_the_desk(page, "totp", "recovery")
    expect(page.get_by_label("First ask for a device")).to_be_checked()


def desk_invite_with_nothing_left(page: Page) -> None:
    at_the_desk(page)
    expect(page.get_by_text("There is no strong device that could be asked for first")).to_be_visible()


def desk_invite_for_nothing(page: Page) -> None:
    at_the_desk(page)
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_role("button", name="Make an invitation").click()
    expect(page.get_by_role("alert")).to_be_visible()


def desk_invitation_made(page: Page) -> None:
    at_the_desk(page, "totp")
    page.get_by_role("button", name="Make an invitation").click()
    expect(page.get_by_role("img", name="QR code of the link")).to_be_visible()


def desk_invitations(page: Page) -> None:
    for _ in range(2):
        desk_invitation_made(page) if page.url == "about:blank" else page.get_by_role("button", name="Make an").click()
        page.get_by_role("link", name="I have handed it over").click()
    expect(page.get_by_role("button", name="Withdraw")).to_have_count(1)
    expect(page.get_by_text(re.compile("^Withdrawn"))).to_be_visible()


PLACES = [
    invitation,
    invitation_code,
    invitation_code_wrong,
    invitation_code_left_empty,
    invitation_password,
    invitation_password_wrong,
    invitation_choice,
    invitation_asks_first,
    invitation_over,
    invitation_of_another,
    desk_invite,
    desk_invite_with_nothing_left,
    desk_invite_for_nothing,
    desk_invitation_made,
    desk_invitations,
]
