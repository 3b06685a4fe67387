"""Enrolling devices over the API: the first one of a new person, and any other of a person who is signed in."""

from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.utils import timezone

from accounts.models import BrowserSession, SignIn
from devices.models import Device
from grants.models import RefreshFamily
from tests.conftest import Api, Person, code_of, make_person
from tests.soft_key import BE, UP, SoftKey

pytestmark = pytest.mark.django_db


def code_for(shown: dict[str, Any]) -> str:
    """What an app that scanned the URI shows now."""
    totp = pyotp.parse_uri(shown["otpauth_uri"])
    assert isinstance(totp, pyotp.TOTP)
    return str(totp.now())


def signed_in(person: Person) -> Api:
    return Api(Api().sign_in(person)["access_token"])


# ---- the first device ------------------------------------------------------------------------------------------------


def test_a_new_person_enrols_an_app_and_is_signed_in_by_it(api: Api, nora: Person) -> None:
    started = api.post("sign-ins", {"username": "nora", "password": nora.password}).json()
    assert (started["state"], started["devices"]) == ("enrolling", [])
    begun = api.post("sign-ins/enrol", {"sign_in": started["sign_in"], "kind": "totp", "name": "My phone"})
    assert begun.status_code == 201
    shown = begun.json()
    assert shown["device"]["state"] == "assigned" and not shown["device"]["usable"]
    assert shown["qr_svg"].startswith("<svg") and len(shown["secret"]) == 32 and 290 < shown["expires_in"] <= 300
    body = {"sign_in": started["sign_in"], "device": shown["device"]["uuid"], "answer": code_for(shown)}
    pair = api.post("sign-ins/enrol/confirm", body)
    assert pair.status_code == 200
    listed = Api(pair.json()["access_token"]).get("devices").json()["devices"]
    assert [(row["name"], row["state"], row["usable"]) for row in listed] == [("My phone", "active", True)]
    again = api.post("sign-ins", {"username": "nora", "password": nora.password}).json()
    used = api.answer(again["sign_in"], Device.objects.get(), code_for(shown))
    assert code_of(used) == (401, "answer_used"), "the enrolment's code is used up too"


def test_a_new_person_enrols_a_key_and_is_signed_in_by_it(api: Api, nora: Person) -> None:
    handle, key = api.start(nora), SoftKey()
    shown = api.post("sign-ins/enrol", {"sign_in": handle, "kind": "fido2"}).json()
    body = {"sign_in": handle, "device": shown["device"]["uuid"], "answer": key.create(shown["public_key"])}
    me = Api(api.post("sign-ins/enrol/confirm", body).json()["access_token"]).get("me").json()
    assert me["amr"] == ["pwd", "hwk", "mfa"] and me["acr"] == "phr"
    handle, row = api.start(nora), Device.objects.get()
    assert row.name == "Security key" and row.transports == ["usb"]
    assert api.answer(handle, row, key.get(api.challenge(handle, row))).status_code == 200


@pytest.mark.parametrize("state", ["active", "suspended", "lost", "retired"])
def test_an_account_that_ever_had_a_device_never_enrols_a_first_one(api: Api, alice: Person, state: str) -> None:
    columns = {"secret": ""} if state == "retired" else {}
    Device.objects.update(state=state, **columns)
    started = api.post("sign-ins", {"username": "alice", "password": alice.password}).json()
    assert started["state"] == "waiting"
    for call in ("sign-ins/enrol", "sign-ins/enrol/confirm"):
        body = {"sign_in": started["sign_in"], "kind": "totp"}
        if call.endswith("confirm"):
            body = {"sign_in": started["sign_in"], "device": str(alice.app.uuid), "answer": alice.code()}
        assert code_of(api.post(call, body)) == (409, "wrong_state")


def test_after_its_time_an_account_cannot_enrol_a_first_device(api: Api, nora: Person) -> None:
    nora.user.enrol_until = timezone.now() - timedelta(seconds=1)
    nora.user.save()
    started = api.post("sign-ins", {"username": "nora", "password": nora.password}).json()
    assert (started["state"], started["devices"]) == ("waiting", [])


def test_of_two_first_enrolments_the_second_is_refused(nora: Person) -> None:
    first, second = Api(), Api()
    handles = [first.start(nora), second.start(nora)]
    shown = [
        api.post("sign-ins/enrol", {"sign_in": handle, "kind": "totp"}).json()
        for api, handle in zip((first, second), handles, strict=True)
    ]
    answers = [
        api.post(
            "sign-ins/enrol/confirm",
            {"sign_in": handle, "device": begun["device"]["uuid"], "answer": code_for(begun)},
        )
        for api, handle, begun in zip((first, second), handles, shown, strict=True)
    ]
    assert answers[0].status_code == 200
    assert code_of(answers[1]) == (401, "sign_in_over")
    assert Device.objects.filter(state="active").count() == 1


def test_a_waiting_device_is_no_way_in(api: Api, nora: Person) -> None:
    handle = api.start(nora)
    shown = api.post("sign-ins/enrol", {"sign_in": handle, "kind": "totp"}).json()
    pending = Device.objects.get()
    assert code_of(api.answer(handle, pending, code_for(shown))) == (409, "wrong_state")
    nora.user.enrol_until = None
    nora.user.save()
    other = api.start(nora)
    assert code_of(api.answer(other, pending, code_for(shown))) == (409, "device_not_usable")


def test_choosing_another_kind_drops_what_was_begun(api: Api, nora: Person) -> None:
    handle = api.start(nora)
    for kind in ("totp", "fido2", "totp"):
        assert api.post("sign-ins/enrol", {"sign_in": handle, "kind": kind}).status_code == 201
    assert [row.kind for row in Device.objects.all()] == ["totp"]
    assert api.post("sign-ins/cancel", {"sign_in": handle}).status_code == 204
    assert not Device.objects.exists()


def test_five_wrong_codes_end_a_first_enrolment_and_nothing_is_left(api: Api, nora: Person) -> None:
    handle = api.start(nora)
    shown = api.post("sign-ins/enrol", {"sign_in": handle, "kind": "totp"}).json()
    body = {"sign_in": handle, "device": shown["device"]["uuid"], "answer": "000000"}
    answers = [code_of(api.post("sign-ins/enrol/confirm", body)) for _ in range(6)]
    assert answers == [(401, "wrong_answer")] * 5 + [(401, "sign_in_over")]
    assert not Device.objects.exists()


# ---- another device --------------------------------------------------------------------------------------------------


def test_a_signed_in_person_adds_an_app_and_a_key(alice: Person) -> None:
    api, key = signed_in(alice), SoftKey()
    shown = api.post("devices", {"kind": "totp"}).json()
    row = api.post(f"devices/{shown['device']['uuid']}/confirm", {"answer": code_for(shown)})
    assert row.status_code == 200
    assert row.json()["state"] == "active" and row.json()["name"] == "Authenticator app 2"
    shown = api.post("devices", {"kind": "fido2", "name": "Blue key"}).json()
    row = api.post(f"devices/{shown['device']['uuid']}/confirm", {"answer": key.create(shown["public_key"])})
    assert row.json()["name"] == "Blue key" and row.json()["synced"] is False and row.json()["transports"] == ["usb"]
    assert len(api.get("devices").json()["devices"]) == 3


def test_what_was_begun_is_not_listed_before_it_is_confirmed(alice: Person) -> None:
    api = signed_in(alice)
    shown = api.post("devices", {"kind": "totp"}).json()
    assert len(api.get("devices").json()["devices"]) == 1
    assert code_of(api.get(f"devices/{shown['device']['uuid']}")) == (404, "not_found")


def test_an_enrolment_is_confirmed_only_by_who_began_it(alice: Person, mallory: Person) -> None:
    api, other, stranger = signed_in(alice), Api(), signed_in(mallory)
    shown = api.post("devices", {"kind": "totp"}).json()
    path, body = f"devices/{shown['device']['uuid']}/confirm", {"answer": code_for(shown)}
    other.bearer = Api().answer(Api().start(alice), alice.app, alice.code(1)).json()["access_token"]
    for wrong in (other, stranger):
        assert code_of(wrong.post(path, body)) == (404, "not_found")
    assert api.post(path, body).status_code == 200
    assert code_of(api.post(path, body)) == (404, "not_found"), "once"


def test_after_ten_minutes_an_unconfirmed_enrolment_is_gone(alice: Person) -> None:
    api = signed_in(alice)
    shown = api.post("devices", {"kind": "totp"}).json()
    SignIn.objects.filter(purpose="enrol").update(expires_at=timezone.now())
    path = f"devices/{shown['device']['uuid']}/confirm"
    assert code_of(api.post(path, {"answer": code_for(shown)})) == (404, "not_found")
    Device.objects.filter(uuid=shown["device"]["uuid"]).update(created_at=timezone.now() - timedelta(minutes=11))
    assert api.post("devices", {"kind": "totp"}).status_code == 201
    assert not Device.objects.filter(uuid=shown["device"]["uuid"]).exists()


def test_only_a_few_enrolments_wait_at_once(alice: Person) -> None:
    api = signed_in(alice)
    answers = [api.post("devices", {"kind": "totp"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [201] * 5 + [429]
    assert int(answers[-1]["Retry-After"]) > 0


def test_five_wrong_codes_end_an_enrolment(alice: Person) -> None:
    api = signed_in(alice)
    shown = api.post("devices", {"kind": "totp"}).json()
    path = f"devices/{shown['device']['uuid']}/confirm"
    answers = [code_of(api.post(path, {"answer": "000000"})) for _ in range(6)]
    assert answers == [(401, "wrong_answer")] * 5 + [(404, "not_found")]
    assert Device.objects.count() == 1


def test_a_registration_is_answered_once_and_a_key_cannot_belong_to_two(alice: Person, mallory: Person) -> None:
    key = SoftKey()
    for person, expected in ((alice, 200), (mallory, 401)):
        api = signed_in(person)
        shown = api.post("devices", {"kind": "fido2"}).json()
        path = f"devices/{shown['device']['uuid']}/confirm"
        answer = api.post(path, {"answer": key.create(shown["public_key"])})
        assert answer.status_code == expected
        code = (404, "not_found") if expected == 200 else (409, "no_challenge")
        assert code_of(api.post(path, {"answer": key.create(shown["public_key"])})) == code


@pytest.mark.parametrize(
    ("method", "path", "body"), [("POST", "devices", {"kind": "totp"}), ("PATCH", "x", {"name": "x"}), ("DELETE", "x", None)]
)
def test_a_proof_older_than_five_minutes_asks_for_another(alice: Person, method: str, path: str, body: Any) -> None:
    api = Api()
    api.take_csrf()
    api.sign_in(alice, grant="session")
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(seconds=301))
    answer = api.call(method, path.replace("x", f"devices/{alice.app.uuid}"), body)
    assert code_of(answer) == (401, "step_up_needed")
    needed = 'Bearer error="insufficient_user_authentication", acr_values="aal2 phr phrh", max_age=300'
    assert answer["WWW-Authenticate"] == needed
    assert api.get("devices").status_code == 200


# ---- rename and remove -----------------------------------------------------------------------------------------------


def test_a_device_is_renamed_and_removed_and_what_it_opened_ends(person: Any) -> None:
    owner = person("totp", "fido2")
    by_app, by_key = signed_in(owner), Api()
    handle = by_key.start(owner)
    answer = by_key.answer(handle, owner.key, owner.soft_key.get(by_key.challenge(handle, owner.key)))
    by_key.bearer = answer.json()["access_token"]
    assert by_app.call("PATCH", f"devices/{owner.app.uuid}", {"name": "  Old phone  "}).json()["name"] == "Old phone"
    assert by_key.call("DELETE", f"devices/{owner.app.uuid}").status_code == 204
    assert code_of(by_app.call("DELETE", f"devices/{owner.key.uuid}")) == (401, "not_signed_in")
    assert RefreshFamily.objects.get(device=owner.app.uuid).ended_for == "device_removed"
    row = Device.objects.get(pk=owner.app.pk)
    assert row.state == "retired" and row.secret == "", "nothing of it can answer any more"
    assert code_of(by_key.call("DELETE", f"devices/{owner.app.uuid}")) == (404, "not_found")


def test_the_last_device_stays(alice: Person) -> None:
    api = signed_in(alice)
    assert code_of(api.call("DELETE", f"devices/{alice.app.uuid}")) == (409, "last_device")
    assert api.get("me").status_code == 200


def test_another_persons_device_is_not_found_on_every_verb(alice: Person, mallory: Person) -> None:
    api, path = signed_in(mallory), f"devices/{alice.app.uuid}"
    calls = [("GET", path, None), ("PATCH", path, {"name": "mine"}), ("DELETE", path, None)]
    for method, where, body in [*calls, ("POST", f"{path}/confirm", {"answer": "123456"})]:
        assert code_of(api.call(method, where, body)) == (404, "not_found")


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\tb", "\u202ebad"])
def test_a_name_is_short_and_printable(alice: Person, name: str) -> None:
    assert code_of(signed_in(alice).call("PATCH", f"devices/{alice.app.uuid}", {"name": name})) == (400, "malformed")


def test_a_synced_passkey_says_so(alice: Person) -> None:
    api, key = signed_in(alice), SoftKey()
    key.flags, key.transports = UP | BE, ["internal", "hybrid"]
    shown = api.post("devices", {"kind": "fido2"}).json()
    row = api.post(f"devices/{shown['device']['uuid']}/confirm", {"answer": key.create(shown["public_key"])}).json()
    assert row["synced"] is True and row["name"] == "This device"


def test_one_person_has_at_most_fifty_devices(alice: Person) -> None:
    for number in range(49):
        make = Device(user=alice.user, kind="totp", name=f"App {number}", state="active")
        make.seed = b"x" * 20
        make.save()
    assert code_of(signed_in(alice).post("devices", {"kind": "totp"})) == (409, "wrong_state")


def test_a_cloned_key_is_suspended_and_what_it_opened_ends(person: Any) -> None:
    owner = make_person("fido2")
    api = signed_in(owner)
    handle = api.start(owner)
    clone = owner.soft_key.get(api.challenge(handle, owner.key), counter=1)
    assert code_of(api.answer(handle, owner.key, clone)) == (401, "wrong_answer")
    owner.key.refresh_from_db()
    assert owner.key.state == "suspended"
    assert code_of(api.post("devices", {"kind": "totp"})) == (401, "not_signed_in")
    again = Api()
    handle = again.start(owner)
    assert code_of(again.post("sign-ins/challenge", {"sign_in": handle, "device": str(owner.key.uuid)})) == (
        409,
        "device_not_usable",
    )
