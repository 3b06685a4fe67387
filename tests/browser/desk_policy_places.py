"""The pages of policy, at the desk and where a person meets it; `places` knows them too."""

from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import changing_policy
from accounts.rules import Rule
from audit.events import OPERATOR
from mfa_site.client import Client
from tests.browser.steps import give_password, sign_in_with_code
from tests.conftest import Person, make_person

PHR = Rule(weakest_acr="phr", kinds=frozenset({"fido2", "temporary"}), sms=False)


def put(rule: Rule, group: Group | None = None) -> None:
    version = changing_policy.current(group)[1]
    changing_policy.change_policy(group, rule, version, Client("", "", ""), timezone.now(), actor=OPERATOR)


def a_group() -> tuple[Group, Person]:
    """Finance with its policy, and Ada in it, who has an app and a text message."""
    ada = make_person("totp", "sms", "recovery", "temporary", username="ada", name="Ada Example")
    group = Group.objects.create(name="Finance and controlling")
    group.user_set.add(ada.user)
    put(PHR, group)
    return group, ada


def administrator(page: Page) -> None:
    admin = make_person("totp", username="sam", is_staff=True)
    admin.user.groups.set(Group.objects.filter(name="Security administrator"))
    sign_in_with_code(page, admin)


def policies(page: Page) -> None:
    administrator(page)
    a_group()
    page.goto("/admin/")
    page.get_by_role("link", name="Policy", exact=True).click()
    expect(page.get_by_role("link", name="Finance and controlling", exact=True)).to_be_visible()


def policy_form(page: Page) -> None:
    policies(page)
    page.get_by_role("link", name="Finance and controlling", exact=True).click()
    page.get_by_label("Only the models chosen").check()
    page.get_by_role("button", name="Show who would be hit").click()
    expect(page.get_by_text("Choose the models.")).to_be_visible()


def policy_preview(page: Page) -> None:
    administrator(page)
    make_person("hotp", "fido2", username="a-name-that-is-as-long-as-names-of-people-in-large-houses-are")
    make_person("yubiotp", username="zoe")
    page.goto("/admin/policy/everybody/")
    page.get_by_label("A factor that cannot be phished").check()
    page.get_by_role("button", name="Show who would be hit").click()
    expect(page.get_by_text("3 people would be hit.")).to_be_visible()
    expect(page.get_by_text("You would have no device left")).to_be_visible()


def policy_in_force(page: Page) -> None:
    administrator(page)
    make_person("hotp", username="bo")
    page.goto("/admin/policy/everybody/")
    page.get_by_label("Token with a button").uncheck()
    page.get_by_role("button", name="Show who would be hit").click()
    expect(page.get_by_text("1 person would have no device left")).to_be_visible()
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_label("Token with a button")).not_to_be_checked()
    page.get_by_role("button", name="Show who would be hit").click()
    page.get_by_role("button", name="Put it in force").click()
    expect(page.get_by_text("The policy is in force.")).to_be_visible()


def group_people(page: Page) -> None:
    policies(page)
    page.get_by_role("link", name="People in Finance").click()
    page.get_by_label("Usernames").fill("nobody-here")
    page.get_by_role("button", name="Add these people").click()
    expect(page.get_by_text("There is nobody called nobody-here")).to_be_visible()


def group_joining(page: Page) -> None:
    policies(page)
    make_person("totp", username="bo")
    page.get_by_role("link", name="People in Finance").click()
    page.get_by_label("Usernames").fill("bo\nada")
    page.get_by_role("button", name="Add these people").click()
    expect(page.get_by_text("Nobody was added yet.")).to_be_visible()


def policy_of_a_person(page: Page) -> None:
    administrator(page)
    _group, ada = a_group()
    page.goto(f"/admin/people/{ada.user.uuid}/policy/")
    expect(page.get_by_text("None of the devices does")).to_be_visible()


def methods_blocked(page: Page) -> None:
    give_password(page, a_group()[1])
    expect(page.get_by_text("blocked by policy").first).to_be_visible()


def first_device_of_no_kind(page: Page) -> None:
    put(Rule(kinds=frozenset(), sms=False, email=False))
    give_password(page, make_person(username="nora"))
    expect(page.get_by_text("allows none that you could add here")).to_be_visible()


PLACES = [
    policies,
    policy_form,
    policy_preview,
    policy_in_force,
    group_people,
    group_joining,
    policy_of_a_person,
    methods_blocked,
    first_device_of_no_kind,
]
