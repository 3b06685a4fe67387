"""People at the desk: created, found, looked at, given time, signed out, given roles."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from accounts.models import BrowserSession, SignIn, User
from audit.models import Event
from desk import lists
from devices.models import Device
from tests.conftest import Api, Person, code_of, make_person, make_token
from tests.test_roles import member, signed_in

pytestmark = pytest.mark.django_db
PEOPLE = "/admin/accounts/user/"


@pytest.fixture
def root() -> Person:
    return make_person("totp", username="root", is_staff=True, is_superuser=True)


@pytest.fixture
def desk(root: Person) -> Any:
    return signed_in(root)


def page_of(person: Person, act: str) -> str:
    return reverse(f"admin:{act}", args=[person.user.uuid])


def test_somebody_is_created_signs_in_with_the_password_that_is_shown_once_and_adds_a_device(desk: Any) -> None:
    page = desk.post("/admin/people/create/", {"username": "Ada", "name": "Ada L.", "email": "ada@example.org", "days": "3"})
    password, ada = page.context["password"], User.objects.get(username="Ada")
    assert page.content.decode().count(password) == 1 and password not in str(ada.__dict__)
    assert ada.enrol_until and abs(ada.enrol_until - timezone.now() - timedelta(days=3)) < timedelta(minutes=1)
    api = Api()
    started = api.post("sign-ins", {"username": "ada", "password": password})
    assert (started.status_code, started.json()["state"]) == (201, "enrolling")
    event = Event.objects.get(act="person_created")
    assert event.person == ada.uuid and event.actor == User.objects.get(username="root").uuid
    again = desk.post("/admin/people/create/", {"username": "ADA", "days": "3"})
    assert again.status_code == 409 and "already a person called ADA" in again.content.decode()
    for wrong in (
        {"username": " ", "days": "3"},
        {"username": "x", "days": "31"},
        {"username": "x", "email": "@", "days": "1"},
    ):
        assert desk.post("/admin/people/create/", wrong).status_code == 400, wrong
    assert User.objects.count() == 2


def test_the_api_creates_people_and_ends_their_sessions(root: Person) -> None:
    api = Api(Api().sign_in(root)["access_token"])
    made = api.post("admin/users", {"username": "Ada", "email": "ada@example.org", "name": "Ada L."})
    assert made.status_code == 201
    assert made.json().keys() == {"uuid", "username", "name", "email", "active", "staff", "enrol_until", "password"}
    assert Api().post("sign-ins", {"username": "ada", "password": made.json()["password"]}).status_code == 201
    assert code_of(api.post("admin/users", {"username": "ada", "email": ""})) == (409, "wrong_state")
    assert code_of(api.post("admin/users", {"username": "x\ud800", "email": ""}))[0] == 400
    ada = make_person("totp", username="alice")
    bearer = Api(Api().sign_in(ada)["access_token"])
    assert api.call("DELETE", f"admin/users/{ada.user.uuid}/sessions").status_code == 204
    assert code_of(bearer.post("step-ups")) == (401, "not_signed_in")


def test_everything_open_ends_and_what_was_begun_is_over(desk: Any) -> None:
    alice = make_person("totp", username="alice")
    browser = signed_in(alice)
    Device.objects.update(counter=-1)
    bearer, handle = Api(Api().sign_in(alice)["access_token"]), Api().start(alice)
    shown = desk.get(page_of(alice, "end-sessions")).content.decode()
    assert shown.count("<tr><td>") == 2
    assert desk.post(page_of(alice, "end-sessions")).status_code == 302
    assert browser.get("/account/").status_code == 302
    assert code_of(bearer.post("step-ups")) == (401, "not_signed_in")
    assert code_of(Api().answer(handle, alice.app, alice.code(1))) == (401, "sign_in_over")
    event = Event.objects.get(act="sessions_ended")
    assert (event.about["ended"], event.person) == (2, alice.user.uuid) and event.actor != event.person
    assert SignIn.objects.get(user=alice.user, state=SignIn.State.REFUSED)


def test_more_time_is_for_those_who_never_had_a_device(desk: Any) -> None:
    nora, alice = make_person(username="nora"), make_person("totp", username="alice")
    User.objects.filter(pk=nora.user.pk).update(enrol_until=timezone.now() - timedelta(days=1))
    assert desk.post(page_of(nora, "first-device"), {"days": "2"}).status_code == 302
    assert Api().post("sign-ins", {"username": "nora", "password": nora.password}).json()["state"] == "enrolling"
    assert Event.objects.get(act="first_enrolment_renewed").person == nora.user.uuid
    assert desk.post(page_of(alice, "first-device"), {"days": "2"}).status_code == 409
    assert "invite them" in desk.get(page_of(alice, "first-device")).content.decode()
    Device.objects.filter(user=alice.user).update(state="retired", secret="")
    assert desk.post(page_of(alice, "first-device"), {"days": "2"}).status_code == 409
    for days in ("0", "31", "x", ""):
        assert desk.post(page_of(nora, "first-device"), {"days": days}).status_code == 400


def test_a_token_that_went_back_does_not_open_first_enrolment_again(desk: Any, root: Person) -> None:
    nora, token = make_person(username="nora"), make_token("hardware_hotp")
    Device.objects.update(counter=-1)
    api = Api(Api().sign_in(root)["access_token"])
    assert api.post(f"admin/devices/{token.device.uuid}/assign", {"user": str(nora.user.uuid)}).status_code == 200
    assert api.post(f"admin/devices/{token.device.uuid}/unassign").status_code == 200
    assert desk.post(page_of(nora, "first-device"), {"days": "2"}).status_code == 409


def test_roles_are_given_taken_and_end_what_was_open(desk: Any) -> None:
    alice = make_person("totp", username="alice")
    browser = signed_in(alice)
    assert desk.post(page_of(alice, "roles"), {"roles": ["Helpdesk", "Auditor"]}).status_code == 302
    held = User.objects.get(pk=alice.user.pk)
    assert held.is_staff and set(held.groups.values_list("name", flat=True)) == {"Helpdesk", "Auditor"}
    assert browser.get("/account/").status_code == 302, "signed out"
    event = Event.objects.get(act="roles_changed")
    assert event.about == {"before": [], "after": ["Auditor", "Helpdesk"]}
    assert desk.post(page_of(alice, "roles"), {}).status_code == 302
    held = User.objects.get(pk=alice.user.pk)
    assert not held.is_staff and not held.groups.exists()
    assert desk.post(page_of(alice, "roles"), {"roles": ["Superuser"]}).status_code == 400


def test_nobody_raises_his_own_rights(root: Person) -> None:
    security, other = member("Security administrator", username="sec"), member("Helpdesk", username="help")
    browser = signed_in(security)
    assert browser.post(page_of(security, "roles"), {"roles": ["Helpdesk"]}).status_code == 403
    assert browser.post(page_of(root, "roles"), {"roles": ["Helpdesk"]}).status_code == 403
    assert browser.post(page_of(other, "roles"), {"roles": ["Token desk"]}).status_code == 302
    user = User.objects.get(pk=security.user.pk)
    form = {"name": "x", "is_active": "on", "is_staff": "on", "is_superuser": "on", "groups": "1"}
    assert browser.post(f"{PEOPLE}{user.pk}/change/", form).status_code == 403, "oneself"
    assert browser.post(f"{PEOPLE}{other.user.pk}/change/", form).status_code == 302
    assert not User.objects.get(pk=other.user.pk).is_superuser
    mine = signed_in(root)
    assert mine.post(page_of(root, "roles"), {"roles": ["Helpdesk"]}).status_code == 403, "a superuser neither"


@pytest.mark.parametrize("act", ["end-sessions", "first-device", "roles"])
def test_helpers_cannot_touch_administrators(root: Person, act: str) -> None:
    helper, sec = member("Helpdesk", "Token desk"), member("Security administrator", username="sec")
    for target in (root, sec, helper):
        assert signed_in_again(helper).post(page_of(target, act), {"days": "1"}).status_code == 403
    assert signed_in_again(sec).post(page_of(root, act), {"days": "1"}).status_code == 403


def signed_in_again(person: Person) -> Any:
    Device.objects.filter(kind="totp").update(counter=-1)
    return signed_in(person)


def listed(desk: Any, **query: str) -> set[str]:
    """Who is in the list."""
    page = desk.get(PEOPLE, query)
    assert page.status_code == 200
    return {row.username for row in page.context["cl"].result_list}


def test_people_are_found_by_name_mail_and_serial(desk: Any) -> None:
    ada = make_person(username="ada", name="Ada Lovelace")
    User.objects.filter(pk=ada.user.pk).update(email="countess@example.net")
    make_token("hardware_hotp", ada.user, serial="ZZ9000")
    make_person(username="bob")
    for wanted in ("ad", "LOVELACE", "countess", "zz9000", " ZZ9000 ", "ÁDA"[1:]):
        assert listed(desk, q=wanted) == {"ada"}, wanted
    assert listed(desk, q="nobody%") == set()


def test_filters_say_who_has_none_one_a_locked_or_an_unused_device(desk: Any) -> None:
    now = timezone.now()
    make_person("recovery", username="none")
    make_person("totp", username="one")
    make_person("totp", "fido2", username="two")
    locked, old = make_person("totp", "fido2", username="locked"), make_person("totp", "fido2", username="old")
    Device.objects.filter(pk=locked.app.pk).update(paused_until=now + timedelta(minutes=5), last_used_at=now)
    User.objects.filter(pk=old.user.pk).update(date_joined=now - timedelta(days=100))
    Device.objects.filter(user=old.user).update(last_used_at=now - timedelta(days=91))
    assert listed(desk, factor="none") == {"none"}
    assert listed(desk, factor="one") == {"one", "root"}
    assert listed(desk, factor="locked") == {"locked"}
    assert listed(desk, factor="unused") == {"old"}
    assert listed(desk, factor="nonsense") == listed(desk)
    rows = {row.username: len(row.factors) for row in desk.get(PEOPLE).context["cl"].result_list}
    assert (rows["none"], rows["one"], rows["two"]) == (0, 1, 2)


def test_a_persons_page_says_how_they_stand(desk: Any, root: Person) -> None:
    alice = make_person("totp", "fido2", "recovery", username="alice", name="Alice")
    Device.objects.filter(pk=alice.key.pk).update(failures=50)
    make_token("hardware_hotp", alice.user, serial="ZZ9000")
    signed_in_again(alice)
    page = desk.get(f"{PEOPLE}{alice.user.pk}/change/")
    standing = page.context["standing"]
    assert {row.kind for row in standing["working"]} == {"totp", "hotp"}
    assert [row.pk for row in standing["stopped"]] == [alice.key.pk]
    assert standing["codes"] == 10 and standing["last"] and not standing["may_enrol_until"]
    text = page.content.decode()
    for expected in ("ZZ9000", "Switched off", "Signed in with", "End sessions", "Roles"):
        assert expected in text, expected
    helper = signed_in_again(member("Helpdesk"))
    shown = helper.get(f"{PEOPLE}{alice.user.pk}/change/").content.decode()
    assert "End sessions" in shown and ">Roles<" not in shown
    higher = helper.get(f"{PEOPLE}{root.user.pk}/change/").content.decode()
    assert "End sessions" not in higher and "Only those who may act on administrators" in higher


def test_lists_and_pages_stay_under_fifteen_statements(desk: Any, django_assert_max_num_queries: Any) -> None:
    people = [make_person("totp", "fido2", "recovery") for _number in range(20)]
    for path in (
        PEOPLE,
        f"{PEOPLE}?q=person",
        f"{PEOPLE}?factor=one",
        "/admin/devices/device/",
        f"{PEOPLE}{people[0].user.pk}/change/",
    ):
        with django_assert_max_num_queries(15):
            assert desk.get(path).status_code == 200


def test_bad_ids_and_forms_are_refused_clearly(desk: Any) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    for act in ("first-device", "end-sessions", "roles"):
        for call in (desk.get, desk.post):
            assert call(reverse(f"admin:{act}", args=[nobody])).status_code == 404
    assert desk.post("/admin/people/create/", {"username": "a\0b", "days": "9" * 5000}).status_code == 400
    assert Group.objects.count() == 4 and not BrowserSession.objects.filter(person=None, data={}).exists()


def test_long_lists_are_paged_in_order_as_far_as_they_go(desk: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(lists, "MOST", 120)
    User.objects.bulk_create(User(username=f"u{number:03d}", username_key=f"u{number:03d}") for number in range(130))
    pages = [desk.get(PEOPLE, {"p": number}).context["cl"].result_list for number in (1, 2, 3)]
    assert [row.username for page in pages for row in page] == ["root", *(f"u{number:03d}" for number in range(119))]
    assert desk.get(PEOPLE, {"p": 4}).status_code == 302, "back to the first"
    assert listed(desk, q="u129") == {"u129"}
    assert [row.username for row in desk.get(PEOPLE, {"o": "-0", "q": "u12"}).context["cl"].result_list][:2] == ["u129", "u128"]


def test_devices_are_found_by_serial_and_owner(desk: Any, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        make_person("hardware_hotp", username=f"zoe{number}")
    token = make_token("hardware_totp", serial="STOCK-77")
    with django_assert_max_num_queries(6):
        page = desk.get("/admin/devices/device/", {"q": "ZOE"})
    assert len(page.context["cl"].result_list) == 12 and b"zoe11" in page.content
    rows = desk.get("/admin/devices/device/", {"q": "ck-7"}).context["cl"].result_list
    assert [row.pk for row in rows] == [token.device.pk]
