"""Hardware tokens: a clock that drifts is learned and lined up; a token in stock is taken by its serial and two codes."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import handing_out, notices
from accounts.models import BrowserSession
from accounts.words import sentence
from audit.events import OPERATOR
from audit.models import Event
from devices.kinds import totp
from devices.lifecycle import State
from devices.models import Device, Kind
from grants.models import RefreshFamily
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site
from tests.authenticators import Clock, new_device
from tests.conftest import Api, Person, code_of, make_person, make_token
from tests.post_office import post_office
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db

SITE = Site("localhost", frozenset({"http://localhost:8000"}), "MFA Site")
NOW = datetime.fromtimestamp(1_700_000_010, UTC)
STEP = int(NOW.timestamp()) // 30


def token(drift: int = 0, serial: str = "A1") -> Device:
    """A hardware token, or an app; in no database."""
    row = new_device(None, Kind.TOTP, serial, drift=drift)
    row.name = "Token"
    return row


def judged(row: Device, step: int) -> int | None:
    """The drift that is learned from the code of this step."""
    proof = totp.verify(row, Clock(row).at(step), "", SITE, NOW)
    assert proof.counter == step
    return proof.drift


def refused(row: Device, given: str) -> Refused:
    with pytest.raises(Refused) as caught:
        totp.verify(row, given, "", SITE, NOW)
    return caught.value


# ---- drift -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drift", [-9, -1, 0, 1, 9])
def test_drift_is_learned_a_step_at_a_time(drift: int) -> None:
    for offset in (-1, 0, 1):
        assert judged(token(drift), STEP + drift + offset) == drift + offset
    for offset in (-2, 2):
        assert refused(token(drift), Clock(token(drift)).at(STEP + drift + offset)).reason in (
            Reason.CODE_WRONG,
            Reason.CODE_OUT_OF_SYNC,
        )


def test_learning_ends_at_ten_steps_and_what_was_lined_up_beyond_is_kept() -> None:
    assert judged(token(10), STEP + 11) is None and judged(token(-10), STEP - 11) is None
    assert judged(token(60), STEP + 61) is None, "further away only by two codes"
    assert judged(token(60), STEP + 59) == 59, "back towards the right time"
    assert judged(token(-60), STEP - 59) == -59


def test_an_app_learns_nothing() -> None:
    assert judged(token(serial=""), STEP + 1) is None


@pytest.mark.parametrize("off", [-100, -40, -2, 0, 3, 50, 100])
def test_two_codes_line_a_clock_up_that_is_off_by_a_hundred_steps_at_most(off: int) -> None:
    row = token()
    clock = Clock(row)
    proof = totp.verify(row, clock.at(STEP + off - 1) + " " + clock.at(STEP + off), "", SITE, NOW)
    assert (proof.counter, proof.drift) == (STEP + off, off)


@pytest.mark.parametrize("off", [-101, 101, 500])
def test_beyond_a_hundred_steps_an_administrator_has_to_line_it_up(off: int) -> None:
    row = token()
    codes = [Clock(row).at(STEP + off - 1), Clock(row).at(STEP + off)]
    assert refused(row, "".join(codes)).reason is Reason.CODES_NOT_CONSECUTIVE
    assert totp.resync(row, codes, 1000, NOW).drift == off


@pytest.mark.parametrize(("first", "second"), [(0, 2), (1, 0), (0, 0)])
def test_codes_that_do_not_follow_each_other_line_nothing_up(first: int, second: int) -> None:
    row = token()
    assert refused(row, Clock(row).at(STEP + first) + Clock(row).at(STEP + second)).reason is Reason.CODES_NOT_CONSECUTIVE


def test_codes_of_a_step_that_was_used_line_nothing_up() -> None:
    row = token()
    row.counter = STEP
    assert refused(row, Clock(row).at(STEP - 1) + Clock(row).at(STEP)).reason is Reason.ANSWER_USED
    assert totp.verify(row, Clock(row).at(STEP) + Clock(row).at(STEP + 1), "", SITE, NOW).counter == STEP + 1


def test_two_codes_of_an_app_are_a_code_too_long() -> None:
    row = token(serial="")
    caught = refused(row, Clock(row).at(STEP - 1) + " " + Clock(row).at(STEP))
    assert caught.reason is Reason.CODE_LENGTH and caught.facts == {"digits": 6, "given": 12}


@pytest.mark.parametrize(
    ("serial", "off", "said"),
    [
        ("A1", -40, "The clock of “Token” is about 20 minutes behind. Enter two codes in a row to line it up."),
        ("A1", 4, "The clock of “Token” is about 2 minutes ahead. Enter two codes in a row to line it up."),
        ("", -40, "The clock of “Token” is about 20 minutes behind. Let your phone set its clock by itself."),
        ("", 4, "The clock of “Token” is about 2 minutes ahead. Let your phone set its clock by itself."),
    ],
)
def test_a_clock_that_is_off_is_told_by_how_much_and_what_to_do(serial: str, off: int, said: str) -> None:
    row = token(serial=serial)
    caught = refused(row, Clock(row).at(STEP + off))
    caught.facts["device"] = row.name
    assert caught.reason is Reason.CODE_OUT_OF_SYNC and sentence(caught) == said


def test_a_code_far_in_the_future_is_not_told_to_be_one() -> None:
    row = token()
    assert refused(row, Clock(row).at(STEP + 10)).reason is Reason.CODE_OUT_OF_SYNC
    assert refused(row, Clock(row).at(STEP + 11)).reason is Reason.CODE_WRONG, "whoever guessed it could wait for its time"
    assert refused(row, Clock(row).at(STEP - 101)).reason is Reason.CODE_WRONG


def test_over_the_api_a_drifting_token_is_followed_and_a_lost_one_lined_up() -> None:
    person, api = make_person("hardware_totp"), Api()
    clock: Clock = person.held["hardware_totp"]
    row = clock.device
    for ahead in (1, 2, 3):
        clock.ahead = ahead
        assert api.answer(api.start(person), row, clock.next()).status_code == 200
        row.refresh_from_db()
        assert row.drift == ahead
    clock.ahead = 70
    assert code_of(api.answer(api.start(person), row, clock.next())) == (401, "wrong_answer")
    bearer = Api(api.sign_in(with_app(person))["access_token"])
    lined_up = bearer.post(f"devices/{row.uuid}/resync", {"answers": clock.two(ahead=1)})
    assert lined_up.status_code == 200 and "drift" not in lined_up.json()
    row.refresh_from_db()
    assert row.drift == 71 and row.failures == 0
    assert Event.objects.get(act="device_resynced").about == {"kind": "totp", "drift": 71}
    assert api.answer(api.start(person), row, clock.at(clock.step() + 2)).status_code == 200, "one step after"


def with_app(person: Person) -> Person:
    """The same person, with an app beside."""
    row = new_device(person.user, Kind.TOTP)
    row.save(force_insert=True)
    app = Person(person.user, person.password)
    app.held["totp"] = Clock(row)
    return app


def test_an_app_is_lined_up_by_nothing(alice: Person) -> None:
    api = Api(Api().sign_in(alice)["access_token"])
    codes = [alice.code(1), alice.code(2)]
    assert code_of(api.post(f"devices/{alice.app.uuid}/resync", {"answers": codes})) == (409, "wrong_state")


# ---- taking one by its serial ----------------------------------------------------------------------------------------

TOKENS = ["totp", "hotp", "yubiotp"]


def take(api: Api, held: Any, **more: Any) -> Any:
    """`POST devices` with the serial and two codes of the token."""
    body = {"kind": held.device.kind, "serial": held.device.serial, "answers": held.two(), **more}
    return api.post("devices", body)


def by_app(person: Person) -> Api:
    """The person's program, signed in with the app."""
    return Api(Api().sign_in(person)["access_token"])


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_in_stock_is_taken_by_its_serial_and_two_codes(alice: Person, kind: str) -> None:
    held = make_token(kind)
    answer = take(by_app(alice), held, name="Blue token", serial=f" {held.device.serial.lower()} ")
    assert answer.status_code == 201, answer.content
    taken = answer.json()["device"]
    assert answer.json()["expires_in"] is None
    assert (taken["name"], taken["serial"], taken["state"]) == ("Blue token", held.device.serial, "active")
    row = Device.objects.get(pk=held.device.pk)
    assert row.user == alice.user and row.failures == 0 and row.confirmed_at is not None
    event = Event.objects.get(act="device_enrolled")
    assert (event.person, event.device, event.about) == (alice.user.uuid, row.uuid, {"kind": kind, "claimed": True})
    api = Api()
    me = Api(api.answer(api.start(alice), row, right_after(held)).json()["access_token"]).get("me").json()
    assert me["amr"] == ["pwd", "otp", "hwk", "mfa"]


def right_after(held: Any) -> str:
    """The next code that is right after two were used."""
    return str(held.at(held.step() + 1) if isinstance(held, Clock) else held.next())


def test_without_a_name_it_is_called_what_the_seed_file_says_or_what_it_is(alice: Person) -> None:
    api = by_app(alice)
    tokens = [make_token("hotp", model="Feitian c100"), make_token("hotp"), make_token("totp"), make_token("yubiotp")]
    names = [take(api, held).json()["device"]["name"] for held in tokens]
    assert names == ["Feitian c100", "Token with a button", "Token with a display", "YubiKey"]


def test_its_drift_is_learned_with_it(alice: Person) -> None:
    held = make_token("totp")
    held.ahead = -30
    assert take(by_app(alice), held).status_code == 201
    assert Device.objects.get(pk=held.device.pk).drift == -30


def wrong_tries(held: Any, others: Any) -> dict[str, dict[str, Any]]:
    """Claims that must not succeed, by what is wrong with them."""
    good = {"kind": held.device.kind, "serial": held.device.serial, "answers": held.two()}
    return {
        "an unknown serial": {**good, "serial": "NO-SUCH"},
        "no serial": {**good, "serial": "  "},
        "wrong codes": {**good, "answers": ["000000", "000001"]},
        "letters": {**good, "answers": ["abc", ""]},
        "another token's codes": {**good, "answers": others.two()},
        "another kind": {**good, "kind": "hotp" if held.device.kind != "hotp" else "totp"},
    }


@pytest.mark.parametrize("kind", TOKENS)
def test_whatever_is_wrong_the_answer_is_the_same(alice: Person, kind: str) -> None:
    api, held, others = by_app(alice), make_token(kind), make_token("totp" if kind == "hotp" else "hotp")
    said, counts = set(), {}
    for what, body in wrong_tries(held, others).items():
        with CaptureQueriesContext(connection) as captured:
            answer = api.post("devices", body)
        counts[what] = len(captured)
        assert code_of(answer) == (401, "wrong_answer"), what
        said.add(answer.json()["detail"])
        Device.objects.update(failures=0)
    assert len(said) == 1
    assert max(counts.values()) - min(counts.values()) <= 4, counts
    assert Device.objects.get(pk=held.device.pk).state == "in_stock"
    told = Event.objects.filter(reason="CODES_NOT_OF_SERIAL") | Event.objects.filter(act="answer_refused")
    assert told.count() == 6 and {event.person for event in told} == {alice.user.uuid}


@pytest.mark.parametrize("state", ["active", "assigned", "suspended", "lost", "retired"])
def test_somebody_elses_token_is_taken_by_nobody(alice: Person, mallory: Person, state: str) -> None:
    held = make_token("hotp", mallory.user, serial="HER-1", state=state)
    assert code_of(take(by_app(alice), held)) == (401, "wrong_answer")
    row = Device.objects.get(pk=held.device.pk)
    assert row.user == mallory.user and row.state == state and row.failures == 0


@pytest.mark.parametrize("dates", [{"valid_from": timedelta(hours=1)}, {"valid_until": -timedelta(hours=1)}])
def test_a_token_before_or_after_its_time_is_not_taken(alice: Person, dates: dict[str, timedelta]) -> None:
    columns: dict[str, Any] = {name: timezone.now() + delta for name, delta in dates.items()}
    held = make_token("hotp", **columns)
    assert code_of(take(by_app(alice), held)) == (401, "wrong_answer")


def test_a_kind_that_is_off_or_comes_without_serials_is_malformed(alice: Person, settings: Any) -> None:
    api, held = by_app(alice), make_token("hotp")
    for kind in ("fido2", "sms", "email", "recovery", "temporary", "x", ""):
        assert code_of(take(api, held, kind=kind)) == (400, "malformed"), kind
    assert code_of(take(api, held, address="+4915112345678")) == (400, "malformed")
    settings.KINDS_OFF = frozenset({"hotp"})
    assert code_of(take(api, held)) == (400, "malformed")
    assert Device.objects.get(pk=held.device.pk).failures == 0


@pytest.mark.parametrize("answers", [None, [], ["123456"], ["123456"] * 3, "123456", [123456, 234567], [["1"], ["2"]]])
def test_a_try_without_two_strings_is_malformed(alice: Person, answers: Any) -> None:
    assert code_of(take(by_app(alice), make_token("hotp"), answers=answers)) == (400, "malformed")


def test_codes_without_a_serial_and_a_serial_without_codes_are_malformed(alice: Person) -> None:
    api = by_app(alice)
    for body in ({"kind": "hotp", "answers": ["1", "2"]}, {"kind": "hotp", "serial": "A1"}, {"kind": "totp", "address": "x"}):
        assert code_of(api.post("devices", body)) == (400, "malformed"), body
    for body in ({"kind": "recovery", "answers": ["1", "2"]}, {"kind": "recovery", "address": "x"}):
        assert code_of(api.post("devices", body)) == (400, "malformed"), body
    assert not Device.objects.filter(kind="recovery").exists()


def test_after_five_wrong_tries_the_token_rests_whoever_tries(alice: Person, mallory: Person) -> None:
    api, held = by_app(alice), make_token("hotp")
    assert [code_of(take(api, held, answers=["000000", "000001"])) for _ in range(5)] == [(401, "wrong_answer")] * 5
    rests = take(by_app(mallory), held)
    assert code_of(rests) == (429, "too_many_attempts") and 0 < int(rests["Retry-After"]) <= 30
    assert not Event.objects.filter(act="device_paused").exists(), "it is nobody's, so nobody is told"
    Device.objects.update(paused_until=None)
    assert take(by_app_again(mallory), held).status_code == 201


def by_app_again(person: Person) -> Api:
    """Once more in the same half minute."""
    Device.objects.filter(pk=person.app.pk).update(counter=-1)
    return by_app(person)


def test_one_person_may_try_ten_serials_an_hour(alice: Person, mallory: Person) -> None:
    api, held = by_app(alice), make_token("hotp")
    tries = [code_of(take(api, held, serial=f"S-{number}")) for number in range(11)]
    assert tries == [(401, "wrong_answer")] * 10 + [(429, "too_many_attempts")]
    refused = take(api, held)
    assert code_of(refused) == (429, "too_many_attempts") and 0 < int(refused["Retry-After"]) <= 3600
    assert Device.objects.get(pk=held.device.pk).failures == 0, "nothing is judged any more"
    assert take(by_app(mallory), held).status_code == 201


def test_what_was_claimed_is_no_try_too_many(alice: Person) -> None:
    api = by_app(alice)
    assert [take(api, make_token("hotp")).status_code for _ in range(6)] == [201] * 6
    tries = [code_of(take(api, make_token("hotp"), serial=f"S-{number}"))[0] for number in range(11)]
    assert tries == [401] * 10 + [429], "wrong ones count as before"


def test_ones_own_serial_is_told_to_be_ones_own_and_no_other_is(alice: Person, mallory: Person) -> None:
    mine, theirs = make_token("hotp", alice.user, serial="MINE-1"), make_token("hotp", mallory.user, serial="THEIRS-1")
    lost = make_token("hotp", alice.user, serial="MINE-2", state=State.LOST)
    gone = make_token("hotp", alice.user, serial="MINE-3", state=State.RETIRED)
    browser, path = Browser().sign_in(alice), "/account/devices/add/serial/"
    browser.go(path)
    for own in (mine, lost):
        browser.send(path, serial=f" {own.device.serial.lower()} ", code="000000", next_code="000001")
        assert browser.status == 401 and "This token is already yours" in browser.text
        assert f'href="/account/devices/{own.device.uuid}/"' in browser.text and "do not go together" not in browser.text
    answers = set()
    for serial in (theirs.device.serial, gone.device.serial, make_token("hotp").device.serial, "NO-SUCH"):
        browser.send(path, serial=serial, code="000000", next_code="000001")
        assert browser.status == 401 and "do not go together" in browser.text
        answers.add(re.sub('value="[^"]*"', "", browser.text))
    assert len(answers) == 1 and "already yours" not in answers.pop()
    mine.device.refresh_from_db()
    assert mine.device.failures == 0
    assert code_of(take(by_app_again(alice), mine)) == (401, "wrong_answer"), "the API answers as ever"


def test_one_person_has_at_most_fifty_devices(alice: Person) -> None:
    for number in range(49):
        new_device(alice.user, Kind.TOTP, f"FULL-{number}").save(force_insert=True)
    held = make_token("hotp")
    assert code_of(take(by_app(alice), held)) == (409, "wrong_state")
    row = Device.objects.get(pk=held.device.pk)
    assert (row.state, row.failures, row.counter) == ("in_stock", 0, -1), "and the codes are as good as before"


def test_taking_one_needs_a_fresh_proof(alice: Person) -> None:
    api = Api()
    api.take_csrf()
    api.sign_in(alice, grant="session")
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(seconds=301))
    assert code_of(take(api, make_token("hotp"))) == (401, "step_up_needed")


@pytest.mark.parametrize("kind", TOKENS)
def test_a_removed_token_is_in_stock_again_and_the_next_person_can_have_it(alice: Person, mallory: Person, kind: str) -> None:
    held = make_token(kind)
    first = by_app(alice)
    assert take(first, held, name="Mine").status_code == 201
    row, api = Device.objects.get(pk=held.device.pk), Api()
    opened = Api(api.answer(api.start(alice), row, right_after(held)).json()["access_token"])
    assert opened.call("DELETE", f"devices/{row.uuid}").status_code == 204
    assert code_of(opened.post("step-ups")) == (401, "not_signed_in"), "what it had opened is over"
    assert RefreshFamily.objects.get(device=row.uuid).ended_for == "device_removed"
    row.refresh_from_db()
    assert (row.state, row.user, row.name) == ("in_stock", None, "") and row.counter >= 0 and row.secret
    if kind == "totp":
        Device.objects.filter(pk=row.pk).update(counter=held.step() - 5)  # as if time had passed
    assert take(by_app(mallory), held).status_code == 201
    row.refresh_from_db()
    assert row.user == mallory.user and row.name != "Mine"
    assert code_of(first.get(f"devices/{row.uuid}")) == (404, "not_found")


def test_the_mail_about_a_removal_does_not_tell_what_the_next_owner_calls_it(
    alice: Person, mallory: Person, settings: Any
) -> None:
    held, api = make_token("hotp"), by_app(alice)
    take(api, held, name="Mine")
    assert api.call("DELETE", f"devices/{held.device.uuid}").status_code == 204
    assert take(by_app(mallory), held, name="Hers now").status_code == 201
    with post_office(settings) as office:
        notices.send_due(timezone.now())
    told = [text for mail, text in zip(office.mails, office.texts, strict=True) if "a device was removed" in mail["Subject"]]
    assert len(told) == 1 and f"“{held.device.serial}” (Token with a button) was removed" in told[0]
    assert [("Hers now" in text) for text in office.texts].count(True) == 1, "to her alone"


# ---- as the first device ---------------------------------------------------------------------------------------------


def take_first(api: Api, handle: str, held: Any, **more: Any) -> Any:
    """`POST sign-ins/enrol` with the serial and two codes of the token."""
    body = {"sign_in": handle, "kind": held.device.kind, "serial": held.device.serial, "answers": held.two(), **more}
    return api.post("sign-ins/enrol", body)


@pytest.mark.parametrize("kind", TOKENS)
def test_a_new_person_takes_a_token_and_is_signed_in_by_it(api: Api, nora: Person, kind: str) -> None:
    held, handle = make_token(kind), api.start(nora)
    pair = take_first(api, handle, held)
    assert pair.status_code == 200, pair.content
    me = Api(pair.json()["access_token"]).get("me").json()
    assert (me["username"], me["amr"], me["acr"]) == ("nora", ["pwd", "otp", "hwk", "mfa"], "aal2")
    assert code_of(take_first(api, handle, make_token(kind))) == (401, "sign_in_over")
    body = {"username": "nora", "password": nora.password}
    assert api.post("sign-ins", body).json()["state"] == "waiting"


def test_for_a_session_the_first_token_needs_the_csrf_header(api: Api, nora: Person) -> None:
    held, handle = make_token("hotp"), api.start(nora)
    assert code_of(take_first(api, handle, held, grant="session")) == (403, "csrf_failed")
    assert Device.objects.get(pk=held.device.pk).failures == 0, "and nothing is spent"
    api.take_csrf()
    answer = take_first(api, handle, held, grant="session")
    assert answer.status_code == 200 and answer.json()["me"]["username"] == "nora"
    assert api.get("me").json()["amr"] == ["pwd", "otp", "hwk", "mfa"]


def test_wrong_first_tries_are_one_answer_and_are_limited(api: Api, nora: Person) -> None:
    held, handle = make_token("hotp"), api.start(nora)
    for body in ({"serial": "NO-SUCH"}, {"answers": ["000000", "000001"]}, {"kind": "totp"}):
        assert code_of(take_first(api, handle, held, **body)) == (401, "wrong_answer")
    for _ in range(7):
        take_first(api, handle, held, serial="NO-SUCH")
    assert code_of(take_first(api, handle, held)) == (429, "too_many_attempts")
    assert Device.objects.get().state == "in_stock"


def test_a_first_token_is_for_new_people_inside_their_time(api: Api, nora: Person, alice: Person) -> None:
    held = make_token("hotp")
    assert code_of(take_first(api, api.start(alice), held)) == (409, "wrong_state"), "she has a device"
    handle = api.start(nora)
    nora.user.enrol_until = timezone.now() - timedelta(seconds=1)
    nora.user.save()
    assert code_of(take_first(api, handle, held)) == (401, "sign_in_over"), "it ended meanwhile"
    assert code_of(take_first(api, api.start(nora), held)) == (409, "wrong_state")
    row = Device.objects.get(pk=held.device.pk)
    assert (row.state, row.user, row.failures) == ("in_stock", None, 0)


def test_of_two_first_devices_the_second_is_refused(api: Api, nora: Person) -> None:
    first, second = api.start(nora), api.start(nora)
    assert take_first(api, first, make_token("hotp")).status_code == 200
    other = make_token("yubiotp")
    assert code_of(take_first(api, second, other)) == (401, "sign_in_over")
    assert Device.objects.get(pk=other.device.pk).state == "in_stock"


@pytest.mark.parametrize("more", [{"grant": "cookie"}, {"answers": ["1"]}, {"answers": "12"}, {"serial": 7}, {"address": "x"}])
def test_a_malformed_first_try_counts_nothing(api: Api, nora: Person, more: dict[str, Any]) -> None:
    held = make_token("hotp")
    assert code_of(take_first(api, api.start(nora), held, **more)) == (400, "malformed")
    assert Device.objects.get(pk=held.device.pk).failures == 0


def test_an_enrolment_that_is_confirmed_later_takes_no_grant(api: Api, nora: Person) -> None:
    body = {"sign_in": api.start(nora), "kind": "totp", "grant": "token"}
    assert code_of(api.post("sign-ins/enrol", body)) == (400, "malformed")


# ---- handed out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_that_was_handed_out_becomes_active_by_its_first_answer(api: Api, nora: Person, kind: str) -> None:
    held = make_token(kind)
    assert held.device.hand_out(nora.user.pk, "Token", OPERATOR, timezone.now())
    assert not Device.objects.get(pk=held.device.pk).hand_out(nora.user.pk, "Token", OPERATOR, timezone.now()), "once"
    started = api.post("sign-ins", {"username": "nora", "password": nora.password}).json()
    assert started["state"] == "waiting" and [row["uuid"] for row in started["devices"]] == [str(held.device.uuid)]
    answer = api.answer(started["sign_in"], held.device, held.next())
    assert answer.status_code == 200, answer.content
    row = Device.objects.get(pk=held.device.pk)
    assert row.state == "active" and row.confirmed_at is not None


def test_a_token_that_was_taken_back_opens_no_first_enrolment_again(api: Api, nora: Person) -> None:
    held = make_token("hotp")
    assert take_first(api, api.start(nora), held).status_code == 200
    row = Device.objects.get(pk=held.device.pk)
    handing_out.take_back(row, Client("", "", ""), timezone.now(), actor=OPERATOR)
    assert not Device.objects.filter(user=nora.user).exists()
    started = api.post("sign-ins", {"username": "nora", "password": nora.password}).json()
    assert (started["state"], started["devices"]) == ("waiting", [])


def test_a_lost_token_that_is_removed_does_not_come_back_to_the_stock() -> None:
    ada = make_person("totp", "hardware_hotp")
    row, bearer = ada.held["hardware_hotp"].device, Api(Api().sign_in(ada)["access_token"])
    assert bearer.post(f"devices/{row.uuid}/lost").status_code == 200
    assert bearer.call("DELETE", f"devices/{row.uuid}").status_code == 204
    row.refresh_from_db()
    assert (row.state, row.user_id, row.secret) == ("retired", ada.user.pk, "")


def test_guesses_at_a_serial_never_switch_the_token_off() -> None:
    held = make_token("hotp", serial="ST-1")
    for number in range(60):
        Device.objects.filter(pk=held.device.pk).update(paused_until=None, held_until=None)
        if number % 9 == 0:
            guesser = Api(Api().sign_in(make_person("totp"))["access_token"])
        wrong = guesser.post("devices", {"kind": "hotp", "serial": "ST-1", "answers": ["000000", "000001"]})
        assert code_of(wrong) == (401, "wrong_answer")
    Device.objects.filter(pk=held.device.pk).update(paused_until=None, held_until=None)
    owner = Api(Api().sign_in(make_person("totp"))["access_token"])
    taken = owner.post("devices", {"kind": "hotp", "serial": "ST-1", "answers": held.two()})
    assert taken.status_code == 201, taken.content
