"""HOTP against RFC 4226's own numbers through our `verify`; out of step, and back, over the API."""

from typing import Any

import pyotp
import pytest
from django.utils import timezone

from audit.models import Event
from devices.kinds import hotp
from devices.models import Device, Kind
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site
from tests.authenticators import Button
from tests.conftest import Api, Person, code_of, make_person

pytestmark = pytest.mark.django_db

SITE = Site("localhost", frozenset({"http://localhost:8000"}), "MFA Site")

# RFC 4226 appendix D: the secret, and the codes of the counters 0 to 9.
SECRET = b"12345678901234567890"
RFC_4226 = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]


def device(counter: int = -1) -> Device:
    row = Device(kind="hotp", name="Token", counter=counter)
    row.seed = SECRET
    return row


def verified(row: Device, given: str) -> int:
    """The counter that the answer proves."""
    counter = hotp.verify(row, given, "", SITE, timezone.now()).counter
    assert counter is not None
    return counter


def refused(row: Device, given: str) -> Reason:
    with pytest.raises(Refused) as caught:
        hotp.verify(row, given, "", SITE, timezone.now())
    return caught.value.reason


# ---- the numbers of the RFC ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("counter", "code"), list(enumerate(RFC_4226)))
def test_the_rfc_4226_vectors_pass_and_prove_their_counter(counter: int, code: str) -> None:
    assert verified(device(counter - 1), code) == counter
    assert verified(device(), code) == counter, "a token that was pressed before it was handed out"


def test_ten_presses_ahead_pass_and_the_eleventh_is_told_to_be_out_of_step() -> None:
    row, token = device(20), Button(device())
    assert [verified(row, token.at(21 + ahead)) for ahead in range(10)] == list(range(21, 31))
    for ahead in (10, 11, 50, 99):
        assert refused(row, token.at(21 + ahead)) is Reason.CODE_OUT_OF_SYNC
    assert refused(row, token.at(21 + 100)) is Reason.CODE_WRONG


def test_the_counter_never_goes_back_and_only_the_last_code_is_told_to_be_used() -> None:
    row, token = device(20), Button(device())
    assert refused(row, token.at(20)) is Reason.ANSWER_USED
    for counter in range(20):
        assert refused(row, token.at(counter)) is Reason.CODE_WRONG


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("75522", Reason.CODE_LENGTH),
        ("7552244", Reason.CODE_LENGTH),
        ("755224 28708", Reason.CODE_LENGTH),
        ("755224 287082 359152", Reason.CODE_LENGTH),
        ("", Reason.CODE_NOT_DIGITS),
        ("75522x", Reason.CODE_NOT_DIGITS),
        ("ccccccbchvthlivuitriujjifivbvtrjkjfirllluurj", Reason.CODE_LOOKS_LIKE_YUBIKEY),
    ],
)
def test_what_is_no_code_is_told_apart(typed: str, reason: Reason) -> None:
    assert refused(device(), typed) is reason


# ---- two codes in a row ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", ["", " ", "-", "  "])
def test_two_codes_in_a_row_in_one_answer_line_it_up(between: str) -> None:
    row, token = device(20), Button(device())
    assert verified(row, between.join([token.at(80), token.at(81)])) == 81


def test_two_codes_are_looked_for_among_the_next_hundred_and_no_further() -> None:
    row, token = device(20), Button(device())
    assert verified(row, token.at(21) + token.at(22)) == 22
    assert verified(row, token.at(120) + token.at(121)) == 121
    assert refused(row, token.at(121) + token.at(122)) is Reason.CODES_NOT_CONSECUTIVE
    wider = hotp.resync(row, [token.at(121), token.at(122)], 1000, timezone.now())
    assert wider.counter == 122, "an administrator's window"
    assert hotp.resync(row, [token.at(1020), token.at(1021)], 1000, timezone.now()).counter == 1021
    with pytest.raises(Refused):
        hotp.resync(row, [token.at(1021), token.at(1022)], 1000, timezone.now())


@pytest.mark.parametrize(("first", "second"), [(30, 32), (31, 30), (30, 30), (10, 11), (20, 22)])
def test_codes_that_do_not_follow_each_other_line_nothing_up(first: int, second: int) -> None:
    row, token = device(20), Button(device())
    assert refused(row, token.at(first) + token.at(second)) is Reason.CODES_NOT_CONSECUTIVE


def test_the_last_two_codes_were_used_and_the_last_with_the_next_line_nothing_up() -> None:
    row, token = device(20), Button(device())
    assert refused(row, token.at(19) + token.at(20)) is Reason.ANSWER_USED
    assert refused(row, token.at(20) + token.at(21)) is Reason.CODES_NOT_CONSECUTIVE
    assert refused(device(0), token.at(0) + token.at(1)) is Reason.CODES_NOT_CONSECUTIVE


# ---- over the API ----------------------------------------------------------------------------------------------------


@pytest.fixture
def owner(db: None) -> Person:
    return make_person("hotp")


def token_of(person: Person) -> Button:
    button: Button = person.held["hotp"]
    return button


def answer(person: Person, given: str) -> Any:
    """What a sign-in of its own says to this answer."""
    api = Api()
    return api.answer(api.start(person), token_of(person).device, given)


def row_of(person: Person) -> Device:
    row: Device = Device.objects.get(user=person.user, kind=Kind.HOTP)
    return row


def resync(person: Person, given: Any) -> Any:
    """`POST devices/<uuid>/resync` by a program that signed in with the token."""
    api = Api(Api().sign_in(person, "hotp")["access_token"])
    return api.post(f"devices/{token_of(person).device.uuid}/resync", {"answers": given})


def test_out_of_step_it_is_told_so_and_two_codes_at_sign_in_bring_it_back(owner: Person) -> None:
    token = token_of(owner)
    assert code_of(answer(owner, token.next(presses=40))) == (401, "wrong_answer")
    assert Event.objects.latest("id").reason == "CODE_OUT_OF_SYNC" and row_of(owner).failures == 1
    assert answer(owner, " ".join(token.two())).status_code == 200
    assert (row_of(owner).counter, row_of(owner).failures) == (token.pressed, 0)
    assert answer(owner, token.next()).status_code == 200


def test_resync_uses_its_codes_up_and_the_skipped_ones_are_dead(owner: Person) -> None:
    api, token = Api(Api().sign_in(owner, "hotp")["access_token"]), token_of(owner)
    skipped = [token.at(token.pressed + ahead) for ahead in range(1, 30)]
    codes = token.two(presses=30)
    lined_up = api.post(f"devices/{token.device.uuid}/resync", {"answers": codes})
    assert lined_up.status_code == 200 and lined_up.json()["uuid"] == str(token.device.uuid)
    assert row_of(owner).counter == token.pressed
    for code in skipped[::15]:
        assert code_of(answer(owner, code)) == (401, "wrong_answer")
    assert code_of(answer(owner, codes[0])) == (401, "wrong_answer")
    assert code_of(answer(owner, codes[1])) == (401, "answer_used")
    assert code_of(api.post(f"devices/{token.device.uuid}/resync", {"answers": codes})) == (401, "answer_used")
    assert answer(owner, token.next()).status_code == 200
    event = Event.objects.get(act="device_resynced")
    assert (event.person, event.device, event.actor) == (owner.user.uuid, token.device.uuid, owner.user.uuid)
    assert not set(codes) & {str(value) for value in event.about.values()}


def test_codes_that_do_not_follow_each_other_are_counted_and_pause_it(owner: Person) -> None:
    api, token = Api(Api().sign_in(owner, "hotp")["access_token"]), token_of(owner)
    path, wrong = f"devices/{token.device.uuid}/resync", [token.at(20), token.at(22)]
    assert [code_of(api.post(path, {"answers": wrong})) for _ in range(5)] == [(401, "wrong_answer")] * 5
    paused = api.post(path, {"answers": token.two()})
    assert code_of(paused) == (429, "too_many_attempts") and int(paused["Retry-After"]) > 0
    assert row_of(owner).failures == 5 and row_of(owner).counter == 0
    assert Event.objects.filter(act="device_paused", person=owner.user.uuid).count() == 1, "its owner is told"


@pytest.mark.parametrize(
    "given", [[], ["755224"], ["755224"] * 3, [755224, 287082], [None, None], "755224287082", {"a": 1}, ["755224", ["287082"]]]
)
def test_anything_but_two_strings_is_malformed_and_counts_nothing(owner: Person, given: Any) -> None:
    assert code_of(resync(owner, given)) == (400, "malformed")
    assert row_of(owner).failures == 0


def test_resync_of_somebody_elses_device_and_of_what_does_not_count_is_refused(owner: Person, alice: Person) -> None:
    api = Api(Api().sign_in(owner, "hotp")["access_token"])
    assert code_of(api.post(f"devices/{alice.app.uuid}/resync", {"answers": ["1", "2"]})) == (404, "not_found")
    for kind in ("totp", "fido2", "recovery", "yubiotp", "temporary"):
        person = make_person(kind)
        api, row = Api(Api().sign_in(person, kind)["access_token"]), person.held[kind].device
        assert code_of(api.post(f"devices/{row.uuid}/resync", {"answers": ["123456", "234567"]})) == (409, "wrong_state")
        row.refresh_from_db()
        assert row.failures == 0


def test_what_is_switched_off_or_suspended_is_not_lined_up(owner: Person, settings: Any) -> None:
    api, token = Api(Api().sign_in(owner, "hotp")["access_token"]), token_of(owner)
    path, codes = f"devices/{token.device.uuid}/resync", token.two()
    settings.KINDS_OFF = frozenset({"hotp"})
    assert code_of(api.post(path, {"answers": codes})) == (409, "device_not_usable")
    settings.KINDS_OFF = frozenset()
    assert api.post(path, {"answers": codes}).status_code == 200


def test_a_new_token_is_loaded_by_a_uri_that_says_where_it_begins(alice: Person) -> None:
    api = Api(Api().sign_in(alice)["access_token"])
    begun = api.post("devices", {"kind": "hotp", "name": "Calculator"}).json()
    loaded = pyotp.parse_uri(begun["otpauth_uri"])
    assert isinstance(loaded, pyotp.HOTP) and begun["secret"] == loaded.secret
    confirmed = api.post(f"devices/{begun['device']['uuid']}/confirm", {"answer": loaded.at(loaded.initial_count)})
    assert confirmed.status_code == 200 and confirmed.json()["state"] == "active"
    handle, row = api.start(alice), Device.objects.get(user=alice.user, kind=Kind.HOTP)
    assert code_of(api.answer(handle, row, loaded.at(0))) == (401, "answer_used"), "the first code is used up"
    assert api.answer(handle, row, loaded.at(1)).status_code == 200
