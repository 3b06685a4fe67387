"""The desk's pages about people, in every state that looks different; `places` knows them too."""

from datetime import timedelta

from django.test import override_settings
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from desk.models import Approval
from devices.models import Device
from tests.browser.steps import sign_in_with_code
from tests.conftest import Person, make_person, make_token


def at_the_desk(page: Page) -> Person:
    """A superuser, signed in."""
    person = make_person("totp", username="admin", name="Admin", is_staff=True, is_superuser=True)
    sign_in_with_code(page, person)
    return person


def ada() -> Person:
    """Somebody with something of everything."""
    person = make_person("totp", "fido2", "recovery", username="ada", name="Ada Example")
    make_token("hardware_hotp", person.user, serial="AB-000123")
    Device.objects.filter(pk=person.key.pk).update(failures=50)
    return person


def desk_front(page: Page) -> None:
    at_the_desk(page)
    page.goto("/admin/")
    expect(page.get_by_role("link", name="Create a person")).to_be_visible()


def desk_people(page: Page) -> None:
    at_the_desk(page)
    ada()
    make_person(username="nora")
    page.goto("/admin/accounts/user/?q=a")


def desk_person(page: Page) -> None:
    at_the_desk(page)
    page.goto(f"/admin/accounts/user/{ada().user.pk}/change/")
    expect(page.get_by_role("link", name="End sessions")).to_be_visible()


def desk_person_who_is_new(page: Page) -> None:
    at_the_desk(page)
    page.goto(f"/admin/accounts/user/{make_person(username='nora').user.pk}/change/")


def desk_person_create(page: Page) -> None:
    at_the_desk(page)
    page.goto("/admin/people/create/")


def desk_person_create_refused(page: Page) -> None:
    desk_person_create(page)
    page.get_by_label("Username").fill("admin")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_contain_text("already a person")


def desk_person_created(page: Page) -> None:
    desk_person_create(page)
    page.get_by_label("Username").fill("ada")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("First password")).to_be_visible()


def desk_first_device(page: Page) -> None:
    at_the_desk(page)
    nora = make_person(username="nora")
    User.objects.filter(pk=nora.user.pk).update(enrol_until=timezone.now() - timedelta(days=1))
    page.goto(reverse("admin:first-device", args=[nora.user.uuid]))


def desk_end_sessions(page: Page) -> None:
    admin = at_the_desk(page)
    page.goto(reverse("admin:end-sessions", args=[admin.user.uuid]))


def desk_roles(page: Page) -> None:
    at_the_desk(page)
    page.goto(reverse("admin:roles", args=[make_person("totp", username="ada").user.uuid]))
    expect(page.get_by_label("Token desk")).to_be_visible()


def desk_approvals(page: Page) -> None:
    admin = at_the_desk(page)
    now, who = timezone.now(), make_person("totp", username="ada").user.uuid
    common = {"asked_at": now, "expires_at": now + timedelta(days=1)}
    Approval.objects.create(what="roles:1", about={"roles": "Helpdesk"}, person=who, asked_by=who, **common)
    Approval.objects.create(what="import:2", about={"file": "tokens.xml"}, asked_by=admin.user.uuid, **common)
    decided = {"decided_by": admin.user.uuid, "approved_at": now, "used_at": now}
    Approval.objects.create(what="policy:3", asked_by=who, **decided, **common)
    page.goto("/admin/approvals/")
    expect(page.get_by_role("button", name="Approve")).to_be_visible()


def desk_roles_waiting(page: Page) -> None:
    with override_settings(FOUR_EYES=frozenset({"administrators"})):
        desk_roles(page)
        page.get_by_label("Helpdesk").check()
        page.get_by_role("button", name="Set the roles").click()
        expect(page.get_by_role("alert")).to_contain_text("has to approve")


PLACES = [
    desk_front,
    desk_people,
    desk_person,
    desk_person_who_is_new,
    desk_person_create,
    desk_person_create_refused,
    desk_person_created,
    desk_first_device,
    desk_end_sessions,
    desk_roles,
    desk_roles_waiting,
    desk_approvals,
]
