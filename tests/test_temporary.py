"""Temporary codes: issued by an administrator, a few uses, an end; they open what leads to a device and nothing else."""

import io
import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import mails, notices, temporary
from accounts.models import BrowserSession
from audit.models import Event
from devices import typed_codes
from devices.models import Device, Kind
from grants.models import RefreshFamily
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from tests import dump
from tests.conftest import Api, Person, code_of, make_person
from tests.post_office import post_office
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db

DESK = Client("192.0.2.3", "", "a-request-id")
WHY = "The token lies at home on the piano."


@pytest.fixture
def admin(db: None) -> Person:
    return make_person("totp", username="admin", is_staff=True, is_superuser=True)


def issue(person: Person, admin: Person, why: str = WHY, **more: Any) -> tuple[Device, str]:
    row, code = temporary.issue(person.user, why, DESK, timezone.now(), actor=admin.user.uuid, **more)
    return row, code


def use(person: Person, row: Device, code: str) -> Any:
    api = Api()
    return api.answer(api.start(person), row, code)


# ---- issuing ---------------------------------------------------------------------------------------------------------


def test_a_code_has_forty_bits_a_day_and_one_use(alice: Person, admin: Person) -> None:
    row, code = issue(alice, admin)
    assert re.fullmatch("[0-9a-hjkmnp-tv-z]{4}-[0-9a-hjkmnp-tv-z]{4}", code)
    assert row.valid_until is not None and row.uses_left == 1
    assert timedelta(hours=23, minutes=59) < row.valid_until - timezone.now() <= timedelta(hours=24)
    assert len({issue(alice, admin)[1] for _ in range(20)}) == 20


def test_a_new_code_is_in_place_of_the_old_one_and_ends_what_it_opened(alice: Person, admin: Person) -> None:
    first, code = issue(alice, admin)
    opened = Api(use(alice, first, code).json()["access_token"])
    second, _ = issue(alice, admin)
    assert code_of(opened.post("step-ups")) == (401, "not_signed_in")
    assert RefreshFamily.objects.get(device=first.uuid).ended_for == "temporary_code_replaced"
    assert code_of(use(alice, first, code)) == (409, "device_not_usable")
    assert code_of(use(alice, second, code)) == (401, "wrong_answer")
    first.refresh_from_db()
    assert (first.state, first.secret_hash) == ("retired", "")


def test_the_database_holds_one_code_for_each_person(alice: Person, admin: Person) -> None:
    row, _ = issue(alice, admin)
    with pytest.raises(IntegrityError), transaction.atomic():
        Device(user=alice.user, kind=Kind.TEMPORARY, secret_hash="x", valid_until=row.valid_until, uses_left=1).save()
    with pytest.raises(IntegrityError), transaction.atomic():
        Device.objects.filter(pk=row.pk).update(valid_until=None)


@pytest.mark.parametrize(
    "given",
    [
        {"why": ""},
        {"why": "   "},
        {"why": "x" * 201},
        {"why": "two\nlines"},
        {"why": "\u202e"},
        {"uses": 0},
        {"uses": -1},
        {"uses": 21},
        {"life": timedelta(minutes=4, seconds=59)},
        {"life": timedelta(days=7, seconds=1)},
        {"life": timedelta(0)},
        {"life": timedelta(seconds=-1)},
    ],
)
def test_without_a_reason_or_out_of_bounds_none_is_issued(alice: Person, admin: Person, given: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        issue(alice, admin, **given)
    assert caught.value.reason is Reason.MALFORMED
    assert not Device.objects.filter(kind=Kind.TEMPORARY).exists()


@pytest.mark.parametrize(
    "given", [{"uses": 20}, {"life": timedelta(days=7)}, {"life": timedelta(minutes=5)}, {"why": "x" * 200}]
)
def test_at_the_bounds_one_is_issued(alice: Person, admin: Person, given: dict[str, Any]) -> None:
    row, code = issue(alice, admin, **given)
    assert use(alice, row, code).status_code == 200


def test_nobody_who_is_disabled_gets_one(alice: Person, admin: Person) -> None:
    alice.user.is_active = False
    with pytest.raises(Refused) as caught:
        issue(alice, admin)
    assert caught.value.reason is Reason.WRONG_STATE


# ---- using it --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [str, str.upper, lambda code: code.replace("-", " "), lambda code: f" {code[:3]}–{code[3:]} "])
def test_however_it_is_typed_it_opens(alice: Person, admin: Person, form: Any) -> None:
    row, code = issue(alice, admin)
    assert use(alice, row, form(code)).status_code == 200


def test_it_opens_as_often_as_it_says_and_is_not_offered_then(alice: Person, admin: Person) -> None:
    row, code = issue(alice, admin, uses=3)
    body = {"username": "alice", "password": alice.password}
    for left in (2, 1, 0):
        assert str(row.uuid) in {one["uuid"] for one in Api().post("sign-ins", body).json()["devices"]}
        assert use(alice, row, code).status_code == 200
        assert Event.objects.filter(act="temporary_code_used").latest("id").about == {"left": left}
    assert str(row.uuid) not in {one["uuid"] for one in Api().post("sign-ins", body).json()["devices"]}
    for _ in range(6):
        assert code_of(use(alice, row, code)) == (401, "answer_used")
        assert Event.objects.latest("id").reason == "TEMPORARY_CODE_USED", "not: wait for the next one"
    row.refresh_from_db()
    assert (row.failures, row.uses_left) == (0, 0)


def test_after_its_end_it_opens_nothing(alice: Person, admin: Person) -> None:
    row, code = issue(alice, admin, uses=3)
    Device.objects.filter(pk=row.pk).update(valid_until=timezone.now())
    assert code_of(use(alice, row, code)) == (409, "device_not_usable")
    row.refresh_from_db()
    assert row.uses_left == 3


def test_guesses_are_counted_and_five_pause_it(alice: Person, admin: Person) -> None:
    row, code = issue(alice, admin)
    wrong = typed_codes.new(5)
    assert [code_of(use(alice, row, wrong)) for _ in range(5)] == [(401, "wrong_answer")] * 5
    assert code_of(use(alice, row, code)) == (429, "too_many_attempts")
    assert Api().sign_in(alice)["access_token"], "her app is not paused by it"


def test_it_is_one_persons(alice: Person, mallory: Person, admin: Person) -> None:
    row, code = issue(alice, admin)
    other, _ = issue(mallory, admin)
    assert code_of(use(mallory, row, code)) == (404, "not_found")
    assert code_of(use(mallory, other, code)) == (401, "wrong_answer")
    assert use(alice, row, code).status_code == 200


# ---- what it opens ---------------------------------------------------------------------------------------------------


def signed_in(person: Person, admin: Person) -> Api:
    """The person's program, signed in with a temporary code."""
    return Api(use(person, *issue(person, admin)).json()["access_token"])


def test_it_opens_enrolling_a_device_and_nothing_that_changes_another(admin: Person) -> None:
    person = make_person("totp", "recovery", username="ada")
    api = signed_in(person, admin)
    assert (api.get("me").json()["amr"], api.get("me").json()["acr"]) == (["pwd", "tmp"], "aal1")
    for method, path, body in (
        ("PATCH", f"devices/{person.app.uuid}", {"name": "x"}),
        ("DELETE", f"devices/{person.app.uuid}", None),
        ("POST", f"devices/{person.app.uuid}/lost", None),
    ):
        refused = api.call(method, path, body)
        assert code_of(refused) == (401, "step_up_needed"), path
        assert 'acr_values="aal2 phr phrh"' in refused["WWW-Authenticate"]
    begun = api.post("devices", {"kind": "totp"}).json()
    loaded = pyotp.TOTP(begun["secret"])
    assert api.post(f"devices/{begun['device']['uuid']}/confirm", {"answer": loaded.now()}).status_code == 200
    row = Device.objects.get(uuid=begun["device"]["uuid"])
    Device.objects.filter(pk=row.pk).update(counter=-1)
    assert use(person, row, loaded.now()).status_code == 200, "with which the person signs in from now on"


def test_it_opens_enrolment_for_half_an_hour_and_no_longer(alice: Person, admin: Person) -> None:
    api = Api()
    api.take_csrf()
    row, code = issue(alice, admin)
    assert api.answer(api.start(alice), row, code, grant="session").status_code == 200
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(seconds=1790))
    assert api.post("devices", {"kind": "totp"}).status_code == 201, "time to fetch a device"
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(seconds=1801))
    refused = api.post("devices", {"kind": "totp"})
    assert code_of(refused) == (401, "step_up_needed")
    assert refused["WWW-Authenticate"] == 'Bearer error="insufficient_user_authentication", max_age=1800'


def test_policy_can_widen_it(alice: Person, admin: Person, settings: Any) -> None:
    settings.TEMPORARY_ACR = "aal2"
    api = signed_in(alice, admin)
    assert (api.get("me").json()["amr"], api.get("me").json()["acr"]) == (["pwd", "tmp", "mfa"], "aal2")
    assert api.call("PATCH", f"devices/{alice.app.uuid}", {"name": "Old phone"}).status_code == 200


def test_it_stands_in_and_is_no_device(nora: Person, admin: Person) -> None:
    row, code = issue(nora, admin)
    api = Api(use(nora, row, code).json()["access_token"])
    begun = api.post("devices", {"kind": "totp"}).json()
    given = pyotp.TOTP(begun["secret"]).now()
    assert api.post(f"devices/{begun['device']['uuid']}/confirm", {"answer": given}).status_code == 200
    Device.objects.update(counter=-1)
    strong = Api(use(nora, Device.objects.get(user=nora.user, kind="totp"), given).json()["access_token"])
    assert code_of(strong.call("DELETE", f"devices/{begun['device']['uuid']}")) == (409, "last_device")
    assert strong.call("DELETE", f"devices/{row.uuid}").status_code == 204, "the code can be given up"


def test_the_password_alone_enrols_nothing_once_a_code_was_issued(nora: Person, admin: Person) -> None:
    issue(nora, admin)
    api = Api()
    started = api.post("sign-ins", {"username": "nora", "password": nora.password}).json()
    assert started["state"] == "waiting" and [row["kind"] for row in started["devices"]] == ["temporary"]
    assert code_of(api.post("sign-ins/enrol", {"sign_in": started["sign_in"], "kind": "totp"})) == (409, "wrong_state")


def test_nobody_issues_one_to_oneself_over_the_api_of_people(alice: Person) -> None:
    api = Api(Api().sign_in(alice)["access_token"])
    assert code_of(api.post("devices", {"kind": "temporary"})) == (400, "malformed")


# ---- what is told and kept -------------------------------------------------------------------------------------------


def test_the_person_is_told_and_the_audit_says_why_but_never_the_code(alice: Person, admin: Person, settings: Any) -> None:
    with dump.logged() as lines, post_office(settings) as office:
        row, code = issue(alice, admin, uses=2)
        assert use(alice, row, code).status_code == 200
        notices.send_due(timezone.now())
    issued, used = Event.objects.get(act="temporary_code_issued"), Event.objects.get(act="temporary_code_used")
    assert (issued.person, issued.actor, issued.device) == (alice.user.uuid, admin.user.uuid, row.uuid)
    assert issued.about["why"] == WHY and issued.about["uses"] == 2 and issued.about["until"].endswith("+00:00")
    assert (used.person, used.device, used.about) == (alice.user.uuid, row.uuid, {"left": 1})
    assert office.subjects == ["MFA Site: a temporary code was issued", "MFA Site: a temporary code was used"]
    secrets = dump.Secrets()
    for form in (code, code.replace("-", ""), code.upper()):
        secrets.add("temporary code", form)
    everything = dump.tables() + dump.cached() + lines.getvalue() + serializers.serialize("json", Device.objects.all())
    assert "temporary_code_issued" in everything and secrets.found(everything + "\n".join(office.texts)) == []
    assert secrets.found(f"issued {code} to alice"), "it would be found"


def test_what_an_operator_did_on_the_command_line_has_no_program_and_a_browsers_has(alice: Person) -> None:
    call_command("issue_code", alice.user.username, reason="seen at the desk", stdout=io.StringIO())
    event = Event.objects.get(act="temporary_code_issued")
    assert "When: " in mails.circumstances(event) and "With:" not in mails.circumstances(event)
    api = Api()
    api.sign_in(alice)
    assert "With: an unknown program" in mails.circumstances(Event.objects.get(act="signed_in")), "a client that does not say"


def test_a_used_code_is_said_to_have_been_used_and_a_late_one_to_be_over(alice: Person, admin: Person) -> None:
    browser = Browser().sign_in(alice)
    for columns, word, other in (
        ({"uses_left": 0}, "Was used", "Its time is over"),
        ({"uses_left": 0, "valid_until": timezone.now()}, "Was used", "Its time is over"),
        ({"valid_until": timezone.now()}, "Its time is over", "Was used"),
    ):
        row, _code = issue(alice, admin)
        Device.objects.filter(pk=row.pk).update(**columns)
        for text in (browser.go("/account/devices/").text, browser.go(f"/account/devices/{row.uuid}/").text):
            assert word in text and other not in text
    assert "nobody can sign in with it any more" in browser.text


@pytest.mark.parametrize(
    ("devices", "said"), [((), "You have no device to sign in with yet."), (("totp",), "You have 1 device to")]
)
def test_the_home_page_counts_devices_in_words(devices: tuple[str, ...], said: str, admin: Person) -> None:
    person = make_person(*devices)
    row, code = issue(person, admin)
    browser = Browser().password(person)
    browser.go(f"/sign-in/{browser.at.split('/')[2]}/{row.uuid}/").send(code=code)
    text = browser.go("/account/").text
    assert said in text and "0 devices" not in text and "1 devices" not in text
