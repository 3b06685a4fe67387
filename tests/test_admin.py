"""The admin site: nobody in without a second factor, and what is security-relevant can only be read."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from accounts import forgotten
from accounts.models import BrowserSession, User
from audit.models import Event
from devices.models import Device
from grants.models import SigningKey
from tests.conftest import Api, Person, make_person

pytestmark = pytest.mark.django_db

MODELS = sorted(model._meta.label_lower for model in admin.site._registry)
LISTS = [label for label in MODELS if label != "audit.event"]  # those are searched for on a page of their own


def paths() -> list[str]:
    """Every list of the site, and its front page."""
    return [reverse("admin:index"), *(reverse(f"admin:{label.replace('.', '_')}_changelist") for label in LISTS)]


def browser(person: Person) -> Any:
    """The test client of somebody who is signed in with both factors."""
    api = Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    api.take_csrf()
    return api.client


def post(client: Any, path: str, **form: Any) -> Any:
    return client.post(path, {**form, "csrfmiddlewaretoken": client.cookies["csrftoken"].value})


@pytest.fixture
def administrator() -> Person:
    return make_person("totp", username="root", is_staff=True, is_superuser=True)


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])


def user_form(user: User, **changed: Any) -> dict[str, Any]:
    shown = {"name": user.name, "email": user.email, **({"is_active": "on"} if user.is_active else {})}
    return {**shown, **changed}


@pytest.mark.parametrize("path", paths())
def test_strangers_are_sent_to_sign_in(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/?next=")


def test_a_password_alone_opens_nothing(administrator: Person, client: Any) -> None:
    client.post("/sign-in/", {"username": "root", "password": administrator.password})
    assert BrowserSession.objects.get().data["sign_ins"], "the browser has a sign-in in progress"
    for path in paths():
        assert client.get(path)["Location"].startswith("/sign-in/?next=")


def test_the_login_form_of_django_does_not_exist(administrator: Person, client: Any) -> None:
    answer = client.post("/admin/login/", {"username": "root", "password": administrator.password, "next": "//evil.example"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert not BrowserSession.objects.exists()


def test_a_bearer_opens_no_page(administrator: Person, client: Any) -> None:
    bearer = Api().sign_in(administrator)["access_token"]
    answer = client.get("/admin/", HTTP_AUTHORIZATION=f"Bearer {bearer}")
    assert answer["Location"].startswith("/sign-in/")


def test_people_who_are_no_staff_are_refused(alice: Person) -> None:
    client = browser(alice)
    for path in (*paths(), "/admin/jsi18n/", change(alice.user), "/admin/accounts/user/autocomplete/"):
        assert client.get(path).status_code in (403, 404), path


def test_staff_without_permissions_see_no_row(alice: Person) -> None:
    client = browser(make_person("totp", is_staff=True))
    assert client.get("/admin/").status_code == 200
    for path in (*paths()[1:], change(alice.user)):
        assert client.get(path).status_code == 403, path


@pytest.mark.parametrize("path", paths())
def test_an_administrator_sees_every_list(administrator: Person, path: str) -> None:
    make_person("totp", "fido2")
    assert browser(administrator).get(path).status_code == 200


def test_no_page_shows_a_secret(administrator: Person) -> None:
    holder = make_person("totp", "fido2")
    client = browser(administrator)
    Api().sign_in(holder)
    seen = ""
    for model in admin.site._registry:
        for row in model._default_manager.all()[:20]:
            answer = client.get(change(row))
            assert answer.status_code == 200, row
            seen += answer.content.decode()
    secrets = [row.secret for row in Device.objects.all() if row.secret] + [row.private for row in SigningKey.objects.all()]
    secrets += [row.value_hash for row in BrowserSession.objects.all()] + [row.password for row in User.objects.all()]
    assert len(secrets) >= 5
    for secret in secrets:
        assert secret not in seen
    assert not re.search("v1\\.k[0-9]+\\.|argon2", seen)


@pytest.mark.parametrize("label", [label for label in MODELS if label != "accounts.user"])
def test_what_is_security_relevant_is_read_only(administrator: Person, label: str) -> None:
    make_person("totp", "fido2")
    client = browser(administrator)
    model = next(model for model in admin.site._registry if model._meta.label_lower == label)
    name = label.replace(".", "_")
    assert client.get(reverse(f"admin:{name}_add")).status_code == 403
    for row in model._default_manager.all()[:1]:
        before = model._default_manager.filter(pk=row.pk).values().get()
        fields = {field.name: "1" for field in model._meta.fields}
        assert post(client, change(row), **fields).status_code == 403
        assert post(client, reverse(f"admin:{name}_delete", args=[row.pk]), post="yes").status_code == 403
        assert model._default_manager.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize("label", LISTS)
def test_no_list_can_be_asked_about_a_column_that_it_does_not_show(administrator: Person, label: str) -> None:
    """Or a hash would be guessed letter by letter, and a regular expression would keep a worker busy."""
    client = browser(administrator)
    model = next(model for model in admin.site._registry if model._meta.label_lower == label)
    path = reverse(f"admin:{label.replace('.', '_')}_changelist")
    for field in model._meta.fields:
        for lookup in ("startswith", "regex", "gt", "in", "contains", "isnull"):
            shown = field.name in admin.site._registry[model].list_filter and lookup == "isnull"
            answer = client.get(path, {f"{field.name}__{lookup}": "1"})
            assert answer.status_code == (200 if shown else 400) or shown, (field.name, lookup)
        assert client.get(path, {field.name: "\0"}).status_code == 400, field.name
    assert client.get(path, {"q": "\0"}).status_code == 400
    for shown_filter in admin.site._registry[model].list_filter:
        assert client.get(path, {f"{shown_filter}__exact": "1"}).status_code in (200, 302), shown_filter


def test_nothing_begun_before_goes_on_after_disabling_and_enabling(administrator: Person, alice: Person) -> None:
    handle = Api().start(alice)
    client = browser(administrator)
    form = user_form(alice.user)
    post(client, change(alice.user), **{name: value for name, value in form.items() if name != "is_active"})
    post(client, change(alice.user), **form)
    assert User.objects.get(pk=alice.user.pk).is_active
    assert Api().answer(handle, alice.app, alice.code()).json()["code"] == "sign_in_over"


@pytest.mark.parametrize("changed", [{"email": "new@example.org"}, {"name": "New"}, {"is_active": None}])
def test_links_that_were_mailed_to_an_older_address_are_dead(
    administrator: Person, alice: Person, changed: dict[str, Any]
) -> None:
    code = forgotten.new_code(alice.user, timezone.now())
    form = {name: value for name, value in user_form(alice.user, **changed).items() if value is not None}
    post(browser(administrator), change(alice.user), **form)
    User.objects.update(is_active=True)
    assert Api().client.get(f"/password/reset/{code}/").status_code == (200 if "name" in changed else 404)


def test_rights_and_passwords_cannot_be_given(administrator: Person, alice: Person) -> None:
    client = browser(administrator)
    rights = {"is_staff": "on", "is_superuser": "on", "password": "x", "username": "eve", "enrol_until_0": "2030-01-01"}
    post(client, change(alice.user), **user_form(alice.user, name="Alice A.", **rights))
    row = User.objects.get(pk=alice.user.pk)
    assert (row.name, row.is_staff, row.is_superuser, row.username) == ("Alice A.", False, False, "alice")
    assert row.check_password(alice.password) and row.enrol_until == alice.user.enrol_until
    assert client.get(f"/admin/accounts/user/{row.pk}/password/").status_code in (302, 404)
    assert not User.objects.filter(username="eve").exists()


def test_a_change_is_told_with_who_did_it(administrator: Person, alice: Person) -> None:
    answer = post(browser(administrator), change(alice.user), **user_form(alice.user, email="new@example.org"))
    assert answer.status_code == 302
    event = Event.objects.get(act="person_changed")
    assert (event.actor, event.person, event.about) == (administrator.user.uuid, alice.user.uuid, {"changed": ["email"]})


def test_disabling_a_person_ends_what_they_had(administrator: Person, alice: Person) -> None:
    hers, bearer = browser(alice), Api(Api().sign_in(alice_again := make_person("totp"))["access_token"])
    client = browser(administrator)
    for person in (alice, alice_again):
        form = user_form(person.user)
        del form["is_active"]
        assert post(client, change(person.user), **form).status_code == 302
    assert hers.get("/account/").status_code == 302
    assert bearer.post("devices", {"kind": "totp"}).status_code == 401
    assert Event.objects.filter(act="person_disabled", actor=administrator.user.uuid).count() == 2
    assert not BrowserSession.objects.filter(person=alice.user, ended_at=None).exists()


def test_a_change_needs_a_fresh_proof(administrator: Person, alice: Person) -> None:
    client = browser(administrator)
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(minutes=6))
    assert client.get(change(alice.user)).status_code == 200
    answer = post(client, change(alice.user), **user_form(alice.user, name="Other"))
    assert answer.status_code == 302 and "next=" in answer["Location"]
    assert User.objects.get(pk=alice.user.pk).name == ""


def test_helpers_with_permission_cannot_touch_administrators(administrator: Person, alice: Person) -> None:
    helper = make_person("totp", is_staff=True)
    helper.user.user_permissions.set(Permission.objects.filter(codename__in=("view_people", "change_person")))
    client = browser(helper)
    assert post(client, change(alice.user), **user_form(alice.user, name="Renamed")).status_code == 302
    assert post(client, change(administrator.user), **user_form(administrator.user, name="Renamed")).status_code == 403
    assert post(client, change(helper.user), **user_form(helper.user, name="Renamed")).status_code == 403
    User.objects.filter(pk=administrator.user.pk).update(is_staff=False)
    assert post(client, change(administrator.user), **user_form(administrator.user, name="Renamed")).status_code == 403
    assert list(User.objects.filter(name="Renamed")) == [alice.user]


def test_signing_out_there_ends_the_session(administrator: Person) -> None:
    client = browser(administrator)
    assert client.get("/admin/logout/").status_code == 405
    post(client, "/admin/logout/")
    assert client.get("/admin/")["Location"].startswith("/sign-in/")
    assert BrowserSession.objects.get(person=administrator.user).ended_for == "signed_out"
