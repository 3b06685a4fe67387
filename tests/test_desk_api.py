"""What administrators do over the API: hand tokens out and take them back, line them up, issue temporary codes."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from audit.events import OPERATOR
from audit.models import Event
from devices import oath
from devices.lifecycle import State
from devices.models import Device
from tests.conftest import Api, Person, code_of, make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(db: None) -> Api:
    return desk(make_person("totp", username="admin", is_staff=True, is_superuser=True))


def desk(person: Person) -> Api:
    """The person's client, with a fresh proof."""
    return Api(Api().sign_in(person)["access_token"])


def token(kind: str = "hotp", serial: str = "AB123", **columns: Any) -> Device:
    """A token in stock."""
    row = Device(kind=kind, serial=serial, state=State.IN_STOCK, model="Model T", **columns)
    row.seed = b"12345678901234567890"
    row.save()
    return row


def test_a_token_is_handed_out_by_serial_signs_in_and_is_taken_back(admin: Api) -> None:
    row, ada = token(), make_person("recovery", username="ada")
    [found] = admin.get("admin/devices?serial=ab123").json()["devices"]
    assert (found["uuid"], found["state"], found["user"], found["model"]) == (str(row.uuid), "in_stock", None, "Model T")
    [person] = admin.get("admin/users?search=ad").json()["users"][:1]
    assert {"admin", "ada"} >= {person["username"]}
    handed = admin.post(f"admin/devices/{row.uuid}/assign", {"user": str(ada.user.uuid)})
    assert handed.status_code == 200 and handed.json()["state"] == "assigned" and handed.json()["name"] == "Model T"
    assert code_of(admin.post(f"admin/devices/{row.uuid}/assign", {"user": str(ada.user.uuid)})) == (409, "wrong_state")
    api = Api()
    pair = api.answer(api.start(ada), row, oath.at(row, 0)).json()
    assert Device.objects.get(pk=row.pk).state == State.ACTIVE
    assert admin.post(f"admin/devices/{row.uuid}/unassign").status_code == 200
    back = Device.objects.get(pk=row.pk)
    assert (back.state, back.user, back.counter, back.name) == (State.IN_STOCK, None, 0, "")
    assert code_of(Api(pair["access_token"]).post("step-ups")) == (401, "not_signed_in"), "what it opened has ended"
    assert code_of(admin.post(f"admin/devices/{row.uuid}/unassign")) == (409, "wrong_state")
    acts = list(Event.objects.filter(device=row.uuid, act__startswith="device_").order_by("id").values_list("act", "person"))
    assert acts == [("device_handed_out", ada.user.uuid), ("device_taken_back", ada.user.uuid)]
    assert not Event.objects.filter(device=row.uuid, act__startswith="device_", actor=F("person")).exists()


def test_an_administrator_lines_up_what_was_pressed_hundreds_of_times(admin: Api) -> None:
    row, ada = token(), make_person("recovery", username="ada")
    admin.post(f"admin/devices/{row.uuid}/assign", {"user": str(ada.user.uuid)})
    far = {"answers": [oath.at(row, 700), oath.at(row, 701)]}
    assert code_of(desk_of(ada, row).post(f"devices/{row.uuid}/resync", far)) == (401, "wrong_answer"), "too far for its owner"
    assert admin.post(f"admin/devices/{row.uuid}/resync", far).status_code == 200
    assert Device.objects.get(pk=row.pk).counter == 701
    event = Event.objects.get(act="device_resynced")
    assert event.person == ada.user.uuid and event.actor == User.objects.get(username="admin").uuid
    wrong = {"answers": [oath.at(row, 900), oath.at(row, 902)]}
    assert code_of(admin.post(f"admin/devices/{row.uuid}/resync", wrong)) == (401, "wrong_answer")
    refused = Event.objects.filter(act="answer_refused", reason="CODES_NOT_CONSECUTIVE").latest("id")
    assert refused.actor == event.actor, "who tried, not whose it is"
    app = make_person("totp").app
    assert code_of(admin.post(f"admin/devices/{app.uuid}/resync", wrong)) == (409, "wrong_state")


def desk_of(person: Person, row: Device) -> Api:
    """The person, signed in with a recovery code."""
    api = Api()
    return Api(api.answer(api.start(person), person.code_set, person.codes.pop()).json()["access_token"])


def test_a_temporary_code_is_issued_used_once_and_opens_only_enrolment(admin: Api) -> None:
    ada = make_person("totp", username="ada")
    issued = admin.post(f"admin/users/{ada.user.uuid}/temporary-codes", {"reason": "token at home"})
    assert issued.status_code == 201 and set(issued.json()) == {"code", "expires_at"}
    row, api = Device.objects.get(kind="temporary"), Api()
    assert row.secret == "" and issued.json()["code"] not in str(row.__dict__)
    got = api.answer(api.start(ada), row, issued.json()["code"].upper()).json()
    bearer = Api(got["access_token"])
    me = bearer.get("me").json()
    assert me["acr"] == "aal1" and me["amr"] == ["pwd", "tmp"]
    assert bearer.post("devices", {"kind": "totp"}).status_code == 201
    assert code_of(bearer.call("PATCH", f"devices/{ada.app.uuid}", {"name": "x"})) == (401, "step_up_needed")
    assert code_of(bearer.call("DELETE", f"devices/{ada.app.uuid}")) == (401, "step_up_needed")
    again = Api()
    assert code_of(again.answer(again.start(ada), row, issued.json()["code"]))[0] in (401, 409)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": "x" * 201},
        {"reason": "a\nb"},
        {"reason": "x", "uses": 0},
        {"reason": "x", "uses": 10**30},
        {"reason": "x", "uses": "1"},
        {"reason": "x", "uses": True},
        {"reason": "x", "expires_in": 1},
        {"reason": "x", "expires_in": 10**30},
        {"reason": "x", "expires_in": -5},
    ],
)
def test_a_code_out_of_bounds_is_malformed_and_leaves_nothing(admin: Api, body: dict[str, Any]) -> None:
    ada = make_person("totp", username="ada")
    assert code_of(admin.post(f"admin/users/{ada.user.uuid}/temporary-codes", body)) == (400, "malformed")
    assert not Device.objects.filter(kind="temporary").exists()


def test_nobody_issues_himself_a_code_and_only_superusers_touch_other_administrators(admin: Api) -> None:
    me = User.objects.get(username="admin")
    why = {"reason": "forgotten"}
    assert code_of(admin.post(f"admin/users/{me.uuid}/temporary-codes", why)) == (403, "not_permitted")
    helper = make_person("totp", username="helper", is_staff=True)
    api = desk(helper)
    ada, row = make_person("totp", username="ada"), token()
    calls = [
        ("GET", "admin/users", None),
        ("GET", "admin/devices", None),
        ("GET", f"admin/users/{ada.user.uuid}/devices", None),
        ("POST", f"admin/users/{ada.user.uuid}/temporary-codes", why),
        ("POST", f"admin/devices/{row.uuid}/assign", {"user": str(ada.user.uuid)}),
        ("POST", f"admin/devices/{row.uuid}/unassign", {}),
        ("POST", f"admin/devices/{row.uuid}/resync", {"answers": ["1", "2"]}),
    ]
    for method, path, body in calls:
        assert code_of(api.call(method, path, body)) == (403, "not_permitted"), path
        assert code_of(desk(ada).call(method, path, body)) == (403, "not_permitted"), path
        assert code_of(Api().call(method, path, body)) == (401, "not_signed_in"), path
        Device.objects.filter(kind="totp").update(counter=-1)
    helper.user.groups.set(Group.objects.filter(name="Token desk"))
    assert code_of(api.post(f"admin/users/{me.uuid}/temporary-codes", why)) == (403, "not_permitted"), "a superuser"
    handed = api.post(f"admin/devices/{row.uuid}/assign", {"user": str(me.uuid)})
    assert code_of(handed) == (403, "not_permitted"), "a token whose codes the helper can read off"
    assert Device.objects.get(pk=row.pk).state == State.IN_STOCK
    assert api.post(f"admin/users/{ada.user.uuid}/temporary-codes", why).status_code == 201


def test_changes_need_a_fresh_proof_and_a_temporary_code_opens_no_desk(admin: Api) -> None:
    ada, other = make_person("totp", username="ada"), make_person("totp", username="other", is_staff=True, is_superuser=True)
    code = admin.post(f"admin/users/{other.user.uuid}/temporary-codes", {"reason": "lost"}).json()["code"]
    api = Api()
    weak = Api(api.answer(api.start(other), Device.objects.get(kind="temporary"), code).json()["access_token"])
    assert code_of(weak.get("admin/users")) == (401, "step_up_needed")
    assert code_of(weak.post(f"admin/users/{ada.user.uuid}/temporary-codes", {"reason": "x"})) == (401, "step_up_needed")


def test_the_command_prints_the_code_once(db: None) -> None:
    ada, out = make_person("totp", username="ada"), StringIO()
    call_command("issue_code", "ADA", "--reason", "seen at the desk", "--uses", "2", "--json", stdout=out)
    told = json.loads(out.getvalue())
    row, api = Device.objects.get(kind="temporary"), Api()
    assert (
        row.uses_left == 2
        and row.valid_until
        and abs(row.valid_until - timezone.now() - timedelta(hours=24)) < timedelta(minutes=1)
    )
    assert api.answer(api.start(ada), row, told["code"]).status_code == 200
    event = Event.objects.get(act="temporary_code_issued")
    assert (event.actor, event.person) == (OPERATOR, ada.user.uuid)
    assert event.about["why"] == "seen at the desk" and told["code"] not in json.dumps(event.about)
    for wrong in (["nobody", "--reason", "x"], ["ada", "--reason", " "], ["ada", "--reason", "x", "--uses", "0"]):
        with pytest.raises(CommandError):
            call_command("issue_code", *wrong)
