"""An administrator enrols a security key for somebody: the key is the person's, the ceremony the administrator's."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import notices
from accounts.models import BrowserSession, SignIn, User
from audit.models import Event
from devices.kinds import fido2
from devices.lifecycle import State
from devices.models import Device
from grants.models import RefreshFamily
from tests.conftest import Api, Person, code_of, make_person
from tests.soft_key import SoftKey, b64

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db: None) -> Person:
    return make_person("totp", username="ada", name="Ada Admin", is_staff=True, is_superuser=True)


@pytest.fixture
def desk(ada: Person) -> Api:
    """Ada's client, with a fresh proof."""
    return Api(Api().sign_in(ada)["access_token"])


def begin(api: Api, person: Person, **given: Any) -> Any:
    return api.post(f"admin/users/{person.user.uuid}/keys", given)


def confirm(api: Api, person: Person, begun: Any, key: SoftKey, **wrong: Any) -> Any:
    path = f"admin/users/{person.user.uuid}/keys/{begun['device']['uuid']}/confirm"
    return api.post(path, {"answer": key.create(begun["public_key"], **wrong)})


def test_the_key_is_the_persons_and_signs_them_in(desk: Api, ada: Person, nora: Person) -> None:
    User.objects.filter(pk=nora.user.pk).update(enrol_until=timezone.now() - timedelta(days=1))
    answer = begin(desk, nora, name="Blue key")
    assert answer.status_code == 201 and set(answer.json()) == {"device", "expires_in", "public_key"}
    options = answer.json()["public_key"]
    assert options["user"]["name"] == "nora" and options["user"]["id"] == b64(bytes(nora.user.user_handle))
    key = SoftKey()
    done = confirm(desk, nora, answer.json(), key)
    assert done.status_code == 200, done.content
    told = done.json()
    assert (told["name"], told["state"], told["user"]) == ("Blue key", "active", str(nora.user.uuid))
    row = Device.objects.get(uuid=told["uuid"])
    assert row.user == nora.user and row.enrolled_by == ada.user.uuid
    nora.keys.append((row, key))
    assert Api().sign_in(nora)["access_token"], "without any device before, and long after the time for a first one"
    acts = Event.objects.filter(device=row.uuid, act__in=("enrolment_begun", "device_enrolled"))
    assert {(event.actor, event.person) for event in acts} == {(ada.user.uuid, nora.user.uuid)} and len(acts) == 2


def test_the_person_is_told_by_whom(desk: Api, bob: Person, settings: Any) -> None:
    settings.HAS_MAIL = True
    confirm(desk, bob, begin(desk, bob, name="Blue key").json(), SoftKey())
    notices.send_due(timezone.now())
    [told] = [sent for sent in mail.outbox if "registered for you" in sent.subject]
    assert "Ada Admin registered a key for you: “Blue key” (Security key)." in told.body
    assert "If you know of it" in told.body


def test_who_adds_a_key_of_their_own_is_told_as_before(bob: Person, settings: Any) -> None:
    settings.HAS_MAIL = True
    own = Api(Api().sign_in(bob)["access_token"])
    begun = own.post("devices", {"kind": "fido2"}).json()
    own.post(f"devices/{begun['device']['uuid']}/confirm", {"answer": SoftKey().create(begun["public_key"])})
    notices.send_due(timezone.now())
    assert any("was added to your account" in sent.body for sent in mail.outbox)
    assert Device.objects.get(uuid=begun["device"]["uuid"]).enrolled_by is None


def test_keys_that_the_person_has_are_excluded_and_not_registered_twice(desk: Api, bob: Person) -> None:
    key = SoftKey()
    confirm(desk, bob, begin(desk, bob).json(), key)
    again = begin(desk, bob).json()
    assert b64(key.credential_id) in [one["id"] for one in again["public_key"]["excludeCredentials"]]
    assert code_of(confirm(desk, bob, again, key)) == (401, "wrong_answer")
    refused = Event.objects.get(act="answer_refused", reason="CREDENTIAL_TAKEN")
    assert (refused.actor, refused.person) == (User.objects.get(username="ada").uuid, bob.user.uuid)


def test_only_the_session_that_began_it_confirms(desk: Api, ada: Person, bob: Person) -> None:
    begun, key = begin(desk, bob).json(), SoftKey()
    Device.objects.filter(pk=ada.app.pk).update(counter=-1)
    elsewhere = Api(Api().sign_in(ada)["access_token"])
    assert code_of(confirm(elsewhere, bob, begun, key)) == (404, "not_found"), "another session of the same administrator"
    other = make_person("totp", is_staff=True, is_superuser=True)
    assert code_of(confirm(Api(Api().sign_in(other)["access_token"]), bob, begun, key)) == (404, "not_found")
    own = Api(Api().sign_in(bob)["access_token"])
    answer = {"answer": key.create(begun["public_key"])}
    for api in (own, desk):  # the person's own pages know nothing of it, nor do the administrator's own
        assert code_of(api.post(f"devices/{begun['device']['uuid']}/confirm", answer)) == (404, "not_found")
    mallory = make_person("totp")
    assert code_of(confirm(desk, mallory, begun, key)) == (404, "not_found"), "below another person"
    assert confirm(desk, bob, begun, key).status_code == 200


def test_what_the_person_began_is_not_the_administrators(desk: Api, bob: Person) -> None:
    own = Api(Api().sign_in(bob)["access_token"])
    begun = own.post("devices", {"kind": "fido2"}).json()
    assert code_of(confirm(desk, bob, begun, SoftKey())) == (404, "not_found")


def test_who_is_signed_out_meanwhile_confirms_nothing(desk: Api, ada: Person, bob: Person) -> None:
    begun = begin(desk, bob).json()
    RefreshFamily.objects.filter(person=ada.user.uuid).update(ended_at=timezone.now(), ended_for="signed_out")
    assert code_of(confirm(desk, bob, begun, SoftKey())) == (401, "not_signed_in")
    assert not Device.objects.filter(enrolled_by=ada.user.uuid, state=State.ACTIVE).exists()


def test_who_is_signed_out_while_it_is_judged_confirms_nothing(
    desk: Api, ada: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, judge = begin(desk, bob).json(), fido2.confirm

    def slowly(*args: Any) -> Any:
        RefreshFamily.objects.filter(person=ada.user.uuid).update(ended_at=timezone.now(), ended_for="signed_out")
        return judge(*args)

    monkeypatch.setattr(fido2, "confirm", slowly)
    assert code_of(confirm(desk, bob, begun, SoftKey())) == (401, "not_signed_in")
    assert not Device.objects.filter(uuid=begun["device"]["uuid"], state=State.ACTIVE).exists()


def test_who_loses_the_right_meanwhile_confirms_nothing(ada: Person, bob: Person) -> None:
    clerk = make_person("totp", is_staff=True)
    clerk.user.groups.set(Group.objects.filter(name="Token desk"))
    api = Api(Api().sign_in(clerk)["access_token"])
    begun = begin(api, bob).json()
    clerk.user.groups.clear()
    assert code_of(confirm(api, bob, begun, SoftKey())) == (403, "not_permitted")


def test_not_for_staff_not_for_oneself_not_for_the_disabled_not_for_nobody(desk: Api, ada: Person, bob: Person) -> None:
    clerk = make_person("totp", is_staff=True)
    clerk.user.groups.set(Group.objects.filter(name="Token desk"))
    api = Api(Api().sign_in(clerk)["access_token"])
    assert code_of(begin(api, ada)) == (403, "not_permitted")
    assert code_of(begin(api, clerk)) == (403, "not_permitted")
    assert code_of(begin(desk, ada)) == (403, "not_permitted"), "a superuser for himself"
    assert begin(api, bob).status_code == 201
    User.objects.filter(pk=bob.user.pk).update(is_active=False)
    assert code_of(begin(desk, bob)) == (409, "wrong_state")
    assert code_of(desk.post(f"admin/users/{uuid4()}/keys")) == (404, "not_found")


def test_somebody_who_becomes_an_administrator_meanwhile(bob: Person) -> None:
    clerk = make_person("totp", is_staff=True)
    clerk.user.groups.set(Group.objects.filter(name="Token desk"))
    api = Api(Api().sign_in(clerk)["access_token"])
    begun = begin(api, bob).json()
    User.objects.filter(pk=bob.user.pk).update(is_staff=True)
    assert code_of(confirm(api, bob, begun, SoftKey())) == (403, "not_permitted")


def test_somebody_who_is_disabled_meanwhile_gets_no_key(desk: Api, bob: Person) -> None:
    begun = begin(desk, bob).json()
    User.objects.filter(pk=bob.user.pk).update(is_active=False)
    assert code_of(confirm(desk, bob, begun, SoftKey())) == (401, "sign_in_over")
    assert not Device.objects.filter(uuid=begun["device"]["uuid"], state=State.ACTIVE).exists()


@pytest.mark.parametrize("given", [{"name": 1}, {"name": "x" * 65}, {"name": "a\x07b"}, {"kind": "totp"}, {"name": None}])
def test_bad_beginnings_leave_nothing_behind(desk: Api, bob: Person, given: dict[str, Any]) -> None:
    assert begin(desk, bob, **given).status_code == 400
    assert Device.objects.filter(user=bob.user).count() == 1 and not SignIn.objects.filter(purpose="enrol").exists()


def test_an_old_proof_confirms_nothing(desk: Api, ada: Person, bob: Person) -> None:
    browser = in_browser(ada)
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(seconds=301))
    page = f"/admin/people/{bob.user.uuid}/key/"
    assert browser.get(page)["Location"].startswith("/confirm/?next=")
    assert browser.post(page, {"response": "{}"})["Location"].startswith("/confirm/?next=")


def in_browser(person: Person) -> Client:
    """The person's browser, in which both factors were proven just now."""
    Device.objects.filter(kind="totp").update(counter=-1)
    api = Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    api.client.handler.enforce_csrf_checks = False
    return api.client


def options(browser: Client, page: str) -> Any:
    """What the page's script asks for when the page was left open."""
    answer = browser.get(page, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.content
    return answer.json()["public_key"]


def test_the_page_says_for_whom_and_what_became_of_it(ada: Person) -> None:
    bob = make_person("totp", username="bob", name="Bob Builder")
    browser, page = in_browser(ada), f"/admin/people/{bob.user.uuid}/key/"
    shown = browser.get(page).content.decode()
    assert "You are enrolling a key for <strong>Bob Builder</strong> <bdi>(bob)</bdi>" in shown
    refused = browser.post(page, {"response": json.dumps(SoftKey().create(options(browser, page), fmt=7))})
    assert refused.status_code == 401 and b"errornote" in refused.content
    assert browser.post(page, {"response": "nonsense"}).status_code == 400
    key = SoftKey()
    done = browser.post(page, {"response": json.dumps(key.create(options(browser, page)))})
    row = Device.objects.get(user=bob.user, kind="fido2")
    assert done["Location"] == f"{page}{row.uuid}/" and row.enrolled_by == ada.user.uuid
    after = browser.get(done["Location"]).content.decode()
    assert "is registered for <strong>Bob Builder</strong>" in after and "only security key" in after
    assert Device.objects.filter(user=bob.user, state=State.ASSIGNED).count() == 0
    again = browser.post(page, {"response": json.dumps(SoftKey().create({"challenge": "x"}))})
    assert again.status_code == 409 and b"another tab was faster" in again.content
    assert browser.get(f"{page}{ada.app.uuid}/").status_code == 404, "somebody else's device"


def test_the_page_for_somebody_disabled_has_no_button(ada: Person, bob: Person) -> None:
    User.objects.filter(pk=bob.user.pk).update(is_active=False)
    shown = in_browser(ada).get(f"/admin/people/{bob.user.uuid}/key/")
    assert (
        shown.status_code == 409
        and b"This person is disabled." in shown.content
        and b"data-webauthn-start" not in shown.content
    )
