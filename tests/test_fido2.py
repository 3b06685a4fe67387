"""Every check that python-fido2 leaves to us: a real key signs an answer that is wrong in one way, and that is the reason.

The published W3C vectors go through the same `confirm` and `verify`.
"""

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from fido2 import cbor

from accounts.models import User
from devices.kinds import Ceremony, Proof, fido2
from devices.models import Device
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site
from tests.conftest import make_person
from tests.soft_key import BE, BS, ED, UP, UV, SoftKey, b64, unb64

pytestmark = pytest.mark.django_db

FOR = Ceremony(uuid4(), uuid4())
SITE = Site("localhost", frozenset({"http://localhost:8000"}), "MFA Site")
VERIFIED = replace(SITE, user_verification="required")


def enrol(key: SoftKey, site: Site = SITE, **wrong: Any) -> tuple[Device, Proof]:
    """A device with what the key's registration proved; `wrong` goes to the key."""
    user = make_person().user
    device = Device(user=user, kind="fido2", name="Key")
    shown = fido2.begin(device, FOR, site, timezone.now())
    proof = fido2.confirm(device, key.create(shown.shown["public_key"], **wrong), shown.kept, site, timezone.now())
    for column, value in {**proof.columns, "counter": proof.counter}.items():
        setattr(device, column, value)
    device.state = "active"
    device.save()
    return device, proof


def sign_in(device: Device, key: SoftKey, site: Site = SITE, **wrong: Any) -> Proof:
    """What an assertion of the key proves."""
    shown = fido2.challenge(device, FOR, site, timezone.now())
    return fido2.verify(device, key.get(shown.shown["public_key"], **wrong), shown.kept, site, timezone.now())


def reason_of(call: Callable[[], object]) -> Reason:
    """The reason for which the call is refused."""
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.reason


@pytest.mark.parametrize("algorithm", [-7, -8, -257])
def test_a_key_of_each_offered_algorithm_registers_and_signs_in(algorithm: int) -> None:
    key = SoftKey(algorithm)
    device, proof = enrol(key)
    assert proof.counter == 0
    assert sign_in(device, key).counter == 1


def test_a_key_that_does_not_count_has_no_moving_factor() -> None:
    key = SoftKey(counts=False)
    device, _ = enrol(key)
    assert sign_in(device, key).counter is None


def test_user_verification_is_recorded() -> None:
    key = SoftKey()
    device, _ = enrol(key)
    assert sign_in(device, key, flags=UP | UV).user_verified
    assert not sign_in(device, key).user_verified
    assert fido2.facts(device, Proof(user_verified=True)).amr == ("hwk", "user")


WRONG_ASSERTIONS: dict[str, tuple[dict[str, Any], Reason]] = {
    "another ceremony": ({"client_data": {"type": "webauthn.create"}}, Reason.ASSERTION_TYPE),
    "another challenge": ({"client_data": {"challenge": b64(bytes(32))}}, Reason.ASSERTION_CHALLENGE),
    "no challenge": ({"client_data": {"challenge": None}}, Reason.ASSERTION_CHALLENGE),
    "challenge as a number": ({"client_data": {"challenge": 7}}, Reason.ASSERTION_CHALLENGE),
    "another site": ({"client_data": {"origin": "https://evil.example"}}, Reason.ASSERTION_ORIGIN),
    "a sub-domain": ({"client_data": {"origin": "http://sub.localhost:8000"}}, Reason.ASSERTION_ORIGIN),
    "another port": ({"client_data": {"origin": "http://localhost:8001"}}, Reason.ASSERTION_ORIGIN),
    "upper case": ({"client_data": {"origin": "HTTP://LOCALHOST:8000"}}, Reason.ASSERTION_ORIGIN),
    "a path": ({"client_data": {"origin": "http://localhost:8000/"}}, Reason.ASSERTION_ORIGIN),
    "a list of origins": ({"client_data": {"origin": ["http://localhost:8000"]}}, Reason.ASSERTION_ORIGIN),
    "another site's frame": ({"client_data": {"crossOrigin": True}}, Reason.ASSERTION_CROSS_ORIGIN),
    "crossOrigin as text": ({"client_data": {"crossOrigin": "false"}}, Reason.ASSERTION_CROSS_ORIGIN),
    "a top origin": ({"client_data": {"topOrigin": "http://localhost:8000"}}, Reason.ASSERTION_CROSS_ORIGIN),
    "another relying party": ({"rp_id": "example.org"}, Reason.ASSERTION_RP_ID),
    "nobody touched it": ({"flags": 0}, Reason.ASSERTION_NO_PRESENCE),
    "backed up but not eligible": ({"flags": UP | BS}, Reason.ASSERTION_BACKUP_FLAGS),
    "became eligible": ({"flags": UP | BE}, Reason.ASSERTION_BACKUP_CHANGED),
    "another key's signature": ({"signer": SoftKey()}, Reason.ASSERTION_SIGNATURE),
    "another person's handle": ({"response": {"userHandle": b64(bytes(64))}}, Reason.ASSERTION_USER_HANDLE),
    "another credential": ({"id": b64(bytes(32)), "rawId": b64(bytes(32))}, Reason.CREDENTIAL_UNKNOWN),
    "id is not rawId": ({"rawId": b64(bytes(32))}, Reason.CREDENTIAL_ID),
    "not a public-key credential": ({"type": "password"}, Reason.ASSERTION_TYPE),
    "no type": ({"type": None}, Reason.ASSERTION_TYPE),
    "an extension flag without extensions": ({"flags": UP | ED}, Reason.ASSERTION_UNREADABLE),
    "extensions that are junk": ({"flags": UP | ED, "extra": b"\xff\xff"}, Reason.ASSERTION_UNREADABLE),
    "trailing bytes": ({"extra": b"\0"}, Reason.ASSERTION_UNREADABLE),
    "attested data that is not there": ({"flags": UP | 0x40}, Reason.ASSERTION_UNREADABLE),
    "deep CBOR": ({"flags": UP | ED, "extra": b"\x81" * 5000 + b"\0"}, Reason.ASSERTION_UNREADABLE),
    "a response that is no object": ({"response": {}, "id": 7}, Reason.ASSERTION_UNREADABLE),
    "padded base64": ({"response": {"signature": "AAA="}}, Reason.ASSERTION_UNREADABLE),
    "sloppy base64": ({"response": {"signature": "AAB"}}, Reason.ASSERTION_UNREADABLE),
    "standard base64": ({"response": {"signature": "+/+/"}}, Reason.ASSERTION_UNREADABLE),
    "client data that is a list": ({"response": {"clientDataJSON": b64(b"[]")}}, Reason.ASSERTION_UNREADABLE),
    "client data that is junk": ({"response": {"clientDataJSON": b64(b"junk")}}, Reason.ASSERTION_UNREADABLE),
    "no signature": ({"response": {"signature": None}}, Reason.ASSERTION_UNREADABLE),
}


@pytest.mark.parametrize("case", WRONG_ASSERTIONS)
def test_a_wrong_assertion_is_refused_for_its_reason(case: str) -> None:
    wrong, reason = WRONG_ASSERTIONS[case]
    key = SoftKey()
    device, _ = enrol(key)
    assert reason_of(lambda: sign_in(device, key, **wrong)) is reason
    assert sign_in(device, key).counter, "the same key with nothing wrong passes"


def test_an_answer_without_a_response_is_refused() -> None:
    device, _ = enrol(SoftKey())
    answers: list[Any] = [
        {},
        {"id": "AAAA", "response": []},
        {"response": {}},
        {"id": "AAAA", "type": "public-key", "response": {}},
    ]
    for answer in answers:
        reason = reason_of(lambda: fido2.verify(device, answer, "x", SITE, timezone.now()))  # noqa: B023
        assert reason in (Reason.ASSERTION_UNREADABLE, Reason.CREDENTIAL_UNKNOWN)


def test_user_verification_is_demanded_as_asked() -> None:
    key = SoftKey()
    device, _ = enrol(key)
    assert reason_of(lambda: sign_in(device, key, VERIFIED)) is Reason.ASSERTION_NOT_VERIFIED
    assert sign_in(device, key, VERIFIED, flags=UP | UV).user_verified
    assert reason_of(lambda: enrol(SoftKey(), VERIFIED)) is Reason.ASSERTION_NOT_VERIFIED
    shown = fido2.challenge(device, FOR, VERIFIED, timezone.now()).shown
    assert shown["public_key"]["userVerification"] == "required"


@pytest.mark.parametrize(("stored", "said", "fine"), [(5, 6, True), (5, 5, False), (5, 4, False), (5, 0, False), (0, 0, True)])
def test_the_signature_counter_never_goes_back(stored: int, said: int, fine: bool) -> None:
    key = SoftKey()
    device, _ = enrol(key)
    device.counter = stored
    if fine:
        assert sign_in(device, key, counter=said).counter == (said or None)
    else:
        assert reason_of(lambda: sign_in(device, key, counter=said)) is Reason.ASSERTION_COUNTER


def test_backup_eligibility_never_changes_and_the_backup_state_may() -> None:
    key = SoftKey()
    key.flags = UP | BE
    device, _ = enrol(key)
    assert device.backup_eligible and not device.backup_state
    assert sign_in(device, key, flags=UP | BE | BS).backup_state is True
    assert reason_of(lambda: sign_in(device, key, flags=UP)) is Reason.ASSERTION_BACKUP_CHANGED
    assert fido2.facts(device, Proof()).amr == ("swk",), "a synced passkey is software"


WRONG_REGISTRATIONS: dict[str, tuple[dict[str, Any], Reason]] = {
    "another ceremony": ({"client_data": {"type": "webauthn.get"}}, Reason.ASSERTION_TYPE),
    "another challenge": ({"client_data": {"challenge": b64(bytes(32))}}, Reason.ASSERTION_CHALLENGE),
    "a sub-domain": ({"client_data": {"origin": "http://sub.localhost:8000"}}, Reason.ASSERTION_ORIGIN),
    "another site's frame": ({"client_data": {"crossOrigin": True}}, Reason.ASSERTION_CROSS_ORIGIN),
    "a top origin": ({"client_data": {"topOrigin": "http://localhost:8000"}}, Reason.ASSERTION_CROSS_ORIGIN),
    "another relying party": ({"rp_id": "example.org"}, Reason.ASSERTION_RP_ID),
    "nobody touched it": ({"flags": 0}, Reason.ASSERTION_NO_PRESENCE),
    "backed up but not eligible": ({"flags": UP | BS}, Reason.ASSERTION_BACKUP_FLAGS),
    "id is not rawId": ({"rawId": b64(bytes(32))}, Reason.CREDENTIAL_ID),
    "id is not the credential's": ({"id": b64(bytes(32)), "rawId": b64(bytes(32))}, Reason.CREDENTIAL_ID),
    "not a public-key credential": ({"type": "other"}, Reason.ASSERTION_TYPE),
    "an extension flag without extensions": ({"flags": UP | ED}, Reason.ASSERTION_UNREADABLE),
    "trailing bytes": ({"extra": b"\0"}, Reason.ASSERTION_UNREADABLE),
    "junk": ({"response": {"attestationObject": b64(b"\xff" * 40)}}, Reason.ASSERTION_UNREADABLE),
    "a number for an object": ({"response": {"attestationObject": b64(b"\x00")}}, Reason.ASSERTION_UNREADABLE),
    "no key": ({"public": {}}, Reason.ASSERTION_UNREADABLE),
    "the wrong type of key": ({"public": {1: 3, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)}}, Reason.CREDENTIAL_KEY),
    "a point off the curve": ({"public": {1: 2, 3: -7, -1: 1, -2: b"\1" * 32, -3: b"\1" * 32}}, Reason.CREDENTIAL_KEY),
    "another curve": ({"public": {1: 2, 3: -7, -1: 2, -2: b"\1" * 32, -3: b"\1" * 32}}, Reason.CREDENTIAL_KEY),
    "a NUL in the format": ({"fmt": "no\0ne"}, Reason.ASSERTION_UNREADABLE),
    "a format that is no text": ({"fmt": ["none"]}, Reason.ASSERTION_UNREADABLE),
    "a long format": ({"fmt": "n" * 33}, Reason.ASSERTION_UNREADABLE),
    "a short RSA key": ({"public": {1: 3, 3: -257, -1: b"\xff" * 128, -2: b"\1\0\1"}}, Reason.CREDENTIAL_KEY),
    "a huge RSA key": ({"public": {1: 3, 3: -257, -1: b"\xff" * 2048, -2: b"\1\0\1"}}, Reason.CREDENTIAL_KEY),
}


@pytest.mark.parametrize("case", WRONG_REGISTRATIONS)
def test_a_wrong_registration_is_refused_for_its_reason(case: str) -> None:
    wrong, reason = WRONG_REGISTRATIONS[case]
    assert reason_of(lambda: enrol(SoftKey(), **wrong)) is reason


@pytest.mark.parametrize("algorithm", [-35, -36])
def test_an_algorithm_that_was_not_offered_is_refused(algorithm: int) -> None:
    assert reason_of(lambda: enrol(SoftKey(algorithm))) is Reason.CREDENTIAL_ALGORITHM


def test_a_credential_id_is_unique_across_all_people() -> None:
    key = SoftKey()
    enrol(key)
    assert reason_of(lambda: enrol(key)) is Reason.CREDENTIAL_TAKEN


def test_a_credential_id_has_16_to_1023_bytes() -> None:
    key = SoftKey()
    key.credential_id = secrets.token_bytes(1023)
    device, _ = enrol(key)
    assert sign_in(device, key).counter == 1
    for length in (0, 15, 1024):
        key.credential_id = secrets.token_bytes(length)
        assert reason_of(lambda: enrol(key)) is Reason.CREDENTIAL_ID


def test_transports_come_back_as_they_were_given_smart_card_included() -> None:
    key = SoftKey()
    key.transports = ["smart-card", "usb", "something-new", "usb"]
    device, _ = enrol(key)
    shown = fido2.challenge(device, FOR, SITE, timezone.now()).shown["public_key"]
    assert shown["allowCredentials"] == [
        {"type": "public-key", "id": b64(key.credential_id), "transports": ["smart-card", "something-new", "usb"]}
    ]
    assert shown["hints"] == ["security-key"]
    assert "null" not in json.dumps(shown)


@pytest.mark.parametrize("given", ["usb", None, [1, None, {}], ["x" * 100, "NO", "ü"], {"usb": 1}])
def test_strange_transports_are_left_out(given: Any) -> None:
    device, _ = enrol(SoftKey(), response={"transports": given})
    assert device.transports == []


def test_creation_options_ask_for_what_was_decided() -> None:
    user = make_person("fido2").user
    shown = fido2.begin(Device(user=user, kind="fido2"), FOR, SITE, timezone.now()).shown["public_key"]
    assert [parameter["alg"] for parameter in shown["pubKeyCredParams"]] == [-7, -8, -257]
    assert shown["authenticatorSelection"]["residentKey"] == "discouraged"
    assert shown["authenticatorSelection"]["userVerification"] == "discouraged"
    assert shown["attestation"] == "none"
    assert unb64(shown["user"]["id"]) == bytes(user.user_handle) and len(user.user_handle) == 64
    assert len(unb64(shown["challenge"])) == 32
    assert len(shown["excludeCredentials"]) == 1


@pytest.mark.parametrize(
    ("aaguid", "transports", "name"),
    [
        ("ee882879-721c-4913-9775-3dfcce97072a", ["usb"], "YubiKey 5"),
        ("00000000-0000-0000-0000-000000000000", ["usb"], "Security key"),
        ("00000000-0000-0000-0000-000000000000", ["internal"], "This device"),
        ("00000000-0000-0000-0000-000000000000", ["hybrid", "ble"], "Phone"),
    ],
)
def test_a_key_is_named_by_its_model_or_its_transports(aaguid: str, transports: list[str], name: str) -> None:
    key = SoftKey()
    key.aaguid, key.transports = bytes.fromhex(aaguid.replace("-", "")), transports
    _, proof = enrol(key)
    assert fido2.suggested_name(Device(), proof) == name


# ---- W3C test vectors ------------------------------------------------------------------------------------------------

VECTORS = Path(os.environ.get("VECTORS_DIR", Path(__file__).parents[2] / "shared" / "vectors")) / "webauthn-l3.json"
NOT_OFFERED = {"packed-es384", "packed-es512", "packed-ed448"}
FRAMED = {"none-es256-crossOrigin", "none-es256-topOrigin"}


def vectors() -> list[Any]:
    """The published vectors with a registration, or one skipped parameter that says where they were looked for."""
    if not VECTORS.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no W3C vectors at {VECTORS.name}; set VECTORS_DIR"))]
    found = json.loads(VECTORS.read_text())["vectors"]
    return [pytest.param(vector, id=vector["name"]) for vector in found if "registration" in vector]


def as_json(part: dict[str, Any], credential_id: bytes, *names: str) -> dict[str, Any]:
    """A published ceremony the way a browser's `toJSON()` gives it."""
    response = {name: b64(bytes.fromhex(part[name])) for name in names}
    return {"id": b64(credential_id), "rawId": b64(credential_id), "type": "public-key", "response": response}


@pytest.mark.parametrize("vector", vectors())
def test_the_w3c_vectors_go_through_our_own_checks(vector: dict[str, Any]) -> None:
    site = Site("example.org", frozenset({"https://example.org"}), "W3C")
    user: User = make_person().user
    device = Device(user=user, kind="fido2", name="Vector")
    created, asserted = vector["registration"], vector["authentication"]
    attestation: Any = cbor.decode(bytes.fromhex(created["attestationObject"]))
    length = int.from_bytes(attestation["authData"][53:55], "big")
    credential_id = attestation["authData"][55 : 55 + length]
    registration = as_json(created, credential_id, "clientDataJSON", "attestationObject")
    kept = b64(bytes.fromhex(created["challenge"]))
    if vector["name"] in NOT_OFFERED | FRAMED:
        expected = Reason.CREDENTIAL_ALGORITHM if vector["name"] in NOT_OFFERED else Reason.ASSERTION_CROSS_ORIGIN
        assert reason_of(lambda: fido2.confirm(device, registration, kept, site, timezone.now())) is expected
        return
    proof = fido2.confirm(device, registration, kept, site, timezone.now())
    for column, value in {**proof.columns, "counter": proof.counter}.items():
        setattr(device, column, value)
    assertion = as_json(asserted, credential_id, "clientDataJSON", "authenticatorData", "signature")
    wanted = b64(bytes.fromhex(asserted["challenge"]))
    assert fido2.verify(device, assertion, wanted, site, timezone.now()).backup_state is not None
    broken = {**assertion, "response": {**assertion["response"], "signature": b64(bytes.fromhex(asserted["signature"])[:-1])}}
    assert reason_of(lambda: fido2.verify(device, broken, wanted, site, timezone.now())) in (
        Reason.ASSERTION_SIGNATURE,
        Reason.ASSERTION_UNREADABLE,
    )
