"""Recovery codes: ten, shown once, each used once, in any order; they stand in for a device and never replace it."""

import io
import json
import re
from typing import Any

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts import demo
from accounts.models import BrowserSession, SignIn
from audit.models import Event
from devices import typed_codes
from devices.kinds import recovery, totp
from devices.models import Device, Kind, RecoveryCode
from grants.models import RefreshFamily
from mfa_site.errors import Reason, Refused
from tests.conftest import Api, Person, code_of, make_person
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db: None) -> Person:
    """She has an app and ten codes."""
    return make_person("totp", "recovery", username="ada")


def use(person: Person, code: str) -> Any:
    """What a sign-in with this code of the person's set answers."""
    api = Api()
    return api.answer(api.start(person), person.code_set, code)


def signed_in(person: Person) -> Api:
    """The person's program, signed in with the app, whose code may have been used a moment ago."""
    Device.objects.filter(pk=person.app.pk).update(counter=-1)
    return Api(Api().sign_in(person)["access_token"])


def new_set(api: Api, person: Person) -> list[str]:
    """The person has a new set; its codes."""
    answer = api.post("recovery-codes")
    assert answer.status_code == 201, answer.content
    person.codes = answer.json()["codes"]
    return person.codes


def events(act: str) -> list[Event]:
    return list(Event.objects.filter(act=act).order_by("id"))


# ---- what is typed ---------------------------------------------------------------------------------------------------

SEPARATORS = st.text(st.sampled_from(" -\t–—‑ "), max_size=3)
CODES = st.binary(min_size=10, max_size=10).map(
    lambda drawn: "".join(typed_codes.ALPHABET[int.from_bytes(drawn, "big") >> (5 * place) & 31] for place in range(16))
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(code=CODES, data=st.data())
def test_however_it_is_typed_it_is_the_same_code(code: str, data: st.DataObject) -> None:
    typed = ""
    for char in code:
        like = {"0": "0oO", "1": "1iIlL"}.get(char, char + char.upper())
        typed += data.draw(SEPARATORS) + data.draw(st.sampled_from(like))
    assert recovery.clean(typed + data.draw(SEPARATORS)) == code


@hypothesis_settings(max_examples=300, deadline=None)
@given(typed=st.text(max_size=60))
def test_anything_else_is_refused_or_a_code(typed: str) -> None:
    try:
        assert set(recovery.clean(typed)) <= set(typed_codes.ALPHABET) and len(recovery.clean(typed)) == 16
    except Refused as refused:
        assert refused.reason is Reason.CODE_NOT_OF_SET


@pytest.mark.parametrize(
    "typed", ["", "-", "492039", "uuuu-uuuu-uuuu-uuuu", "0" * 15, "0" * 17, "0" * 16 + "\0", " " * 10_000, "٠" * 16]
)
def test_what_cannot_be_a_code_is_a_wrong_answer(ada: Person, typed: str) -> None:
    answer = use(ada, typed)
    assert code_of(answer) in {(401, "wrong_answer"), (400, "malformed")}
    assert (answer.status_code == 400) is ("\0" in typed)


# ---- using one -------------------------------------------------------------------------------------------------------


def test_each_code_signs_in_once_in_any_order(ada: Person) -> None:
    for left, code in enumerate(reversed(ada.codes)):
        answer = use(ada, code.upper().replace("-", " "))
        assert answer.status_code == 200
        me = Api(answer.json()["access_token"]).get("me").json()
        assert (me["amr"], me["acr"]) == (["pwd", "rc", "mfa"], "aal2")
        assert events("recovery_code_used")[-1].about == {"left": 9 - left}
    assert not recovery.unspent(ada.code_set).exists()


def test_a_used_code_says_so_and_counts_nothing(ada: Person) -> None:
    assert use(ada, ada.codes[3]).status_code == 200
    for _ in range(7):
        assert code_of(use(ada, ada.codes[3])) == (401, "answer_used")
    assert ada.code_set.failures == 0 and ada.code_set.paused_until is None
    assert recovery.unspent(ada.code_set).count() == 9


def test_two_codes_in_two_sign_ins_do_not_disturb_each_other(ada: Person) -> None:
    api = Api()
    first, second = api.start(ada), api.start(ada)
    assert api.answer(first, ada.code_set, ada.codes[0]).status_code == 200
    assert api.answer(second, ada.code_set, ada.codes[1]).status_code == 200


def test_wrong_codes_pause_the_set_and_nothing_else(ada: Person) -> None:
    other = make_person("totp", "recovery")
    for _ in range(5):
        assert code_of(use(ada, other.codes[0])) == (401, "wrong_answer"), "another person's"
    assert code_of(use(ada, ada.codes[0])) == (429, "too_many_attempts")
    assert Api().sign_in(ada)["access_token"], "the app is not paused"
    assert use(other, other.codes[0]).status_code == 200, "the other's code is as good as before"


def test_a_code_does_not_answer_for_another_device(ada: Person) -> None:
    api = Api()
    assert code_of(api.answer(api.start(ada), ada.app, ada.codes[0])) == (401, "wrong_answer")
    assert code_of(use(ada, ada.code())) == (401, "wrong_answer")


def test_an_object_is_malformed_and_counts_nothing(ada: Person) -> None:
    api = Api()
    assert code_of(api.answer(api.start(ada), ada.code_set, {})) == (400, "malformed")
    assert ada.code_set.failures == 0


def test_a_set_without_codes_is_not_offered(ada: Person) -> None:
    body = {"username": "ada", "password": ada.password}
    kinds = {row["kind"] for row in Api().post("sign-ins", body).json()["devices"]}
    assert kinds == {"totp", "recovery"}
    RecoveryCode.objects.update(spent_at=timezone.now())
    assert [row["kind"] for row in Api().post("sign-ins", body).json()["devices"]] == ["totp"]


# ---- making a set ----------------------------------------------------------------------------------------------------


def test_a_set_has_ten_different_codes_of_80_bits(alice: Person) -> None:
    codes = new_set(signed_in(alice), alice)
    assert len(set(codes)) == 10
    for code in codes:
        assert len(code) == 19 and set(code.replace("-", "")) <= set(typed_codes.ALPHABET)
    listed = signed_in(alice).get("devices").json()["devices"]
    assert [(row["kind"], row["name"], row["state"]) for row in listed][1:] == [("recovery", "Recovery codes", "active")]
    assert events("recovery_codes_made")[0].about == {"replaced": False}


def test_a_new_set_kills_the_old_one(ada: Person) -> None:
    old, api = list(ada.codes), signed_in(ada)
    middle = Api()
    handle, old_set = middle.start(ada), ada.code_set
    new_set(api, ada)
    assert code_of(middle.answer(handle, old_set, old[0])) == (409, "device_not_usable"), "in the middle of a sign-in"
    assert code_of(middle.answer(handle, ada.code_set, old[0])) == (401, "wrong_answer")
    assert middle.answer(handle, ada.code_set, ada.codes[0]).status_code == 200
    assert Device.objects.filter(user=ada.user, kind=Kind.RECOVERY).exclude(state="retired").count() == 1
    assert events("recovery_codes_made")[-1].about == {"replaced": True}


def test_a_code_judged_before_its_set_was_replaced_is_not_spent(ada: Person) -> None:
    row, now = ada.code_set, timezone.now()
    proof = recovery.verify(row, ada.codes[0], "", Any, now)  # type: ignore[arg-type]
    row.retire()
    with transaction.atomic():
        assert not recovery.spend(row, proof, now)


def test_who_signed_in_with_an_old_code_is_signed_out_but_for_the_one_who_asks(ada: Person) -> None:
    mine, other = (use(ada, code).json() for code in ada.codes[:2])
    new_set(Api(mine["access_token"]), ada)
    assert Api(mine["access_token"]).post("recovery-codes").status_code == 201, "again, from the same family"
    assert code_of(Api(other["access_token"]).post("recovery-codes")) == (401, "not_signed_in")
    mine, ended = RefreshFamily.objects.filter(person=ada.user.uuid).order_by("id")
    assert (mine.device, mine.ended_at) == (ada.code_set.uuid, None)
    assert ended.ended_at is not None and ended.ended_for == "recovery_codes_replaced"


def test_the_browser_that_asks_stays_signed_in_and_others_do_not(ada: Person) -> None:
    mine, other = to_codes(ada).send(code=ada.codes[0]), to_codes(ada).send(code=ada.codes[1])
    mine.go("/account/recovery-codes/")
    assert len(shown_codes(mine.send(replaces=str(ada.code_set.uuid)))) == 10
    assert mine.go("/account/").at == "/account/" and other.go("/account/").at.startswith("/sign-in/")
    assert BrowserSession.objects.get(person=ada.user, ended_at=None).device == ada.code_set


def test_the_database_holds_one_set_for_each_person(ada: Person) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        demo.new_codes(ada.user, timezone.now())
    Device.objects.filter(pk=ada.code_set.pk).update(state="lost")
    with pytest.raises(IntegrityError), transaction.atomic():
        demo.new_codes(ada.user, timezone.now())
    new_set(signed_in(ada), ada)
    assert use(ada, ada.codes[0]).status_code == 200, "in place of the lost one"


def test_post_devices_makes_the_set_at_once(alice: Person) -> None:
    answer = signed_in(alice).post("devices", {"kind": "recovery", "name": "Paper in the safe"})
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["device"]["name"], shown["device"]["state"], shown["expires_in"]) == ("Paper in the safe", "active", None)
    assert use(alice, shown["codes"][0]).status_code == 200
    assert code_of(signed_in(alice).post("devices", {"kind": "recovery", "name": "n" * 65})) == (400, "malformed")


def test_codes_are_never_the_first_device(nora: Person) -> None:
    api = Api()
    assert code_of(api.post("sign-ins/enrol", {"sign_in": api.start(nora), "kind": "recovery"})) == (400, "malformed")
    browser = Browser().password(nora)
    assert "Recovery" not in browser.text
    assert browser.go(browser.at + "recovery/").status == 404
    assert not Device.objects.filter(user=nora.user).exists()


def test_the_demo_prints_the_codes_of_alice_and_of_nobody_else() -> None:
    printed = io.StringIO()
    call_command("seed_demo", "--json", stdout=printed)
    people = {person["username"]: person for person in json.loads(printed.getvalue())["people"]}
    assert {name for name, person in people.items() if person["recovery_codes"]} == {"alice"}
    assert [device["kind"] for device in people["alice"]["devices"]] == ["totp"]
    api, row = Api(), Device.objects.get(kind=Kind.RECOVERY)
    handle = api.post("sign-ins", {"username": "alice", "password": people["alice"]["password"]}).json()["sign_in"]
    assert api.answer(handle, row, people["alice"]["recovery_codes"][9]).status_code == 200
    assert not any(code in Browser().go("/demo/").text for code in people["alice"]["recovery_codes"])


# ---- the last device -------------------------------------------------------------------------------------------------


def test_codes_are_no_device_to_be_left_with(ada: Person) -> None:
    api = signed_in(ada)
    assert code_of(api.call("DELETE", f"devices/{ada.app.uuid}")) == (409, "last_device")
    assert api.call("DELETE", f"devices/{ada.code_set.uuid}").status_code == 204, "the codes may go"
    assert code_of(api.call("DELETE", f"devices/{ada.app.uuid}")) == (409, "last_device")


def test_removed_codes_are_dead_and_end_what_they_opened(ada: Person) -> None:
    row, tokens = ada.code_set, use(ada, ada.codes[0]).json()
    assert signed_in(ada).call("DELETE", f"devices/{row.uuid}").status_code == 204
    assert code_of(Api(tokens["access_token"]).post("recovery-codes")) == (401, "not_signed_in")
    api = Api()
    assert code_of(api.answer(api.start(ada), row, ada.codes[1])) == (409, "device_not_usable")


# ---- no trace --------------------------------------------------------------------------------------------------------


def test_no_code_is_anywhere_in_clear(ada: Person, caplog: pytest.LogCaptureFixture) -> None:
    old = list(ada.codes)
    use(ada, old[0]), use(ada, old[0]), use(ada, "0" * 16)
    new_set(signed_in(ada), ada)
    use(ada, ada.codes[1])
    everything = [*Device.objects.all(), *RecoveryCode.objects.all(), *Event.objects.all(), *SignIn.objects.all()]
    everything += [*BrowserSession.objects.all(), *RefreshFamily.objects.all()]
    text = serializers.serialize("json", everything) + caplog.text + json.dumps([str(vars(line)) for line in caplog.records])
    assert "recovery_code_used" in text
    for code in (*old, *ada.codes, "0" * 16):
        assert code not in text and code.replace("-", "") not in text and code.replace("-", "").upper() not in text


def test_equal_codes_of_two_sets_have_different_hashes(ada: Person) -> None:
    other = Device(user=ada.user, kind=Kind.RECOVERY)
    assert recovery._hash(other, "0" * 16) != recovery._hash(ada.code_set, "0" * 16)
    for row in RecoveryCode.objects.all():
        assert row.code_hash.startswith("v2.")


# ---- pages -----------------------------------------------------------------------------------------------------------


def to_codes(person: Person) -> Browser:
    """The person at the code page of their set, through the list."""
    browser = Browser().password(person)
    uuid = SignIn.objects.latest("id").uuid
    assert "Enter a recovery code" in browser.go(f"/sign-in/{uuid}/{person.code_set.uuid}/").text
    return browser


def shown_codes(browser: Browser) -> list[str]:
    return re.findall(r'<li><bdi dir="ltr">([0-9a-z-]{19})</bdi>', browser.text)


def test_the_pages_make_a_set_and_show_it_once(alice: Person) -> None:
    browser = Browser().sign_in(alice)
    assert "You have no recovery codes" in browser.text
    browser.go("/account/recovery-codes/")
    first = browser.text
    codes = shown_codes(browser.send(replaces=""))
    assert len(codes) == 10 and browser.response["Cache-Control"] == "no-store"
    browser.text = first
    again = browser.send("/account/recovery-codes/", replaces="")
    assert again.status == 409 and "shown only once" in again.text and not shown_codes(again)
    assert not shown_codes(browser.go("/account/recovery-codes/")) and "10 of 10" in browser.text
    assert use(alice, codes[0]).status_code == 200
    assert "9 recovery codes are left." in browser.go("/account/").text


def test_the_file_holds_the_codes_and_whose_they_are(alice: Person) -> None:
    browser = Browser().sign_in(alice).go("/account/recovery-codes/").send(replaces="")
    codes, page = shown_codes(browser), browser.text
    token = browser.client.cookies["csrftoken"].value
    answer = browser.client.post("/account/recovery-codes/file/", {"code": codes}, headers={"X-CSRFToken": token})
    text = answer.content.decode()
    assert answer["Content-Type"] == "text/plain; charset=utf-8" and answer["Cache-Control"] == "no-store"
    assert answer["Content-Disposition"].startswith('attachment; filename="mfa-site-recovery-alice-20')
    assert all(f"[ ] {code}\n" in text for code in codes) and "Username: alice" in text and "&" not in text
    for wrong in (codes[:9], codes[:9] + codes[:1], [*codes[:9], "<script>"], [*codes, codes[0]], []):
        answer = browser.client.post("/account/recovery-codes/file/", {"code": wrong}, headers={"X-CSRFToken": token})
        assert answer.status_code == 404, wrong
    assert page and browser.go("/account/recovery-codes/file/").at == "/account/recovery-codes/"


def test_a_recovery_code_is_offered_last_and_never_remembered(ada: Person) -> None:
    browser = to_codes(ada)
    assert 'inputmode="numeric"' not in browser.text and "one of your ten recovery codes" in browser.text
    browser.send(code=ada.codes[0].upper())
    assert browser.at == "/account/recovery-codes/used/" and "9 are left" in browser.text
    assert "mfa_site_hint" not in browser.client.cookies
    browser.send("/sign-out/")
    browser.client.cookies["mfa_site_hint"] = str(ada.code_set.uuid)
    assert str(ada.app.uuid) in browser.password(ada).at, "even if the browser says otherwise"
    assert browser.go(browser.at.rsplit("/", 2)[0] + "/methods/").text.index("Authenticator app") < browser.text.index(
        "Recovery codes"
    )


def test_where_only_codes_are_left_the_list_says_so(ada: Person) -> None:
    Device.objects.filter(pk=ada.app.pk).update(state="lost")
    browser = Browser().password(ada)
    assert browser.at.endswith("/methods/") and "Recovery codes" in browser.text


def test_next_comes_after_the_words_about_the_code(ada: Person) -> None:
    browser = Browser().password(ada, "/account/devices/")
    browser.go(f"/sign-in/{SignIn.objects.get().uuid}/{ada.code_set.uuid}/").send(code=ada.codes[0])
    assert browser.at == "/account/recovery-codes/used/?next=%2Faccount%2Fdevices%2F"
    assert 'href="/account/devices/">Not now, go on' in browser.text
    assert "evil" not in browser.go("/account/recovery-codes/used/?next=//evil.example").text


def test_after_a_code_a_device_can_be_added_at_once(ada: Person) -> None:
    browser = to_codes(ada).send(code=ada.codes[0])
    assert browser.go("/account/devices/add/totp/").status == 200 and "QR code" in browser.text


def test_wrong_and_used_codes_say_what_to_do(ada: Person) -> None:
    browser = to_codes(ada)
    assert "none of your recovery codes" in browser.send(code="0" * 16).text and browser.status == 401
    use(ada, ada.codes[0])
    assert "already used. Cross it out" in browser.send(code=ada.codes[0]).text


@pytest.mark.parametrize(("spent", "warns"), [(6, False), (7, True), (10, True)])
def test_few_codes_warn(ada: Person, spent: int, warns: bool) -> None:
    keys = list(RecoveryCode.objects.values_list("pk", flat=True)[:spent])
    RecoveryCode.objects.filter(pk__in=keys).update(spent_at=timezone.now())
    browser = Browser().sign_in(ada)
    assert ("Make a new set" in browser.text) is warns
    assert f"{10 - spent} of 10" in browser.go("/account/recovery-codes/").text


def test_who_has_just_enrolled_a_first_device_is_offered_codes(nora: Person) -> None:
    browser = Browser().password(nora)
    browser.go(browser.at + "totp/")
    browser.send(code=totp.code_now(Device.objects.get(), timezone.now()))
    assert browser.at == "/account/" and "Make recovery codes" in browser.text


def test_codes_do_not_count_as_devices_on_the_home_page(ada: Person) -> None:
    assert "You have 1 device to sign in with" in Browser().sign_in(ada).text
