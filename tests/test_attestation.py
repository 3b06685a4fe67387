"""What a security key proves to be: real certificates and statements, and everything that proves nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from fido2 import cbor

from accounts.models import Attestation, GroupPolicy
from audit.models import Event
from devices import fido_metadata
from devices.models import Device
from tests.attesting import Issuer, Maker, Service, restated, self_attested
from tests.conftest import Api, Person, code_of, make_person
from tests.soft_key import SoftKey, b64, unb64

pytestmark = pytest.mark.django_db
CERTIFIED = ["SELF_ASSERTION_SUBMITTED", "FIDO_CERTIFIED_L1"]


def policy(attestation: str, *models: Maker) -> None:
    """Everybody's keys have to prove this."""
    listed = [str(model.aaguid) for model in models]
    GroupPolicy.objects.update_or_create(group=None, defaults={"attestation": attestation, "key_models": listed})


def bearer(person: Person | None = None) -> Api:
    """Somebody who may add a key."""
    return Api(Api().sign_in(person or make_person("totp"))["access_token"])


def enrol(api: Api, create: Callable[[SoftKey, dict[str, Any]], dict[str, Any]]) -> Any:
    """The key that makes this registration is added: the answer to its confirmation."""
    begun = api.post("devices", {"kind": "fido2"}).json()
    answer = create(SoftKey(), begun["public_key"])
    return api.post(f"devices/{begun['device']['uuid']}/confirm", {"answer": answer})


def doubt() -> str:
    """What the audit says was wrong."""
    return str(Event.objects.filter(act="enrolment_refused").latest("id").about["doubt"])


@pytest.fixture
def trusted(settings: Any, tmp_path: Path) -> Maker:
    """A maker whose root the operator trusts."""
    maker = Maker()
    file = tmp_path / "anchors.pem"
    file.write_bytes(Issuer("Somebody else's").pem + maker.root.pem)
    settings.ATTESTATION_ANCHORS = str(file)
    return maker


@pytest.fixture
def service(settings: Any, tmp_path: Path) -> Service:
    """A metadata service; its list is not installed yet."""
    made = Service(tmp_path)
    settings.FIDO_METADATA, settings.FIDO_METADATA_ROOT = str(made.blob_file), str(made.root_file)
    return made


def install(service: Service, blob: bytes, tmp_path: Path) -> None:
    """As the operator does it."""
    file = tmp_path / "new.jwt"
    file.write_bytes(blob)
    call_command("update_metadata", file=str(file), verbosity=0)


def test_without_a_policy_nothing_is_asked_and_nothing_judged(trusted: Maker) -> None:
    api = bearer()
    begun = api.post("devices", {"kind": "fido2"}).json()
    assert begun["public_key"]["attestation"] == "none"
    assert enrol(api, trusted.create).status_code == 200
    assert enrol(api, lambda key, options: restated(key.create(options), "packed", {"x5c": [b"junk"]})).status_code == 200
    assert set(Device.objects.filter(kind="fido2").values_list("attested", flat=True)) == {""}


@pytest.mark.parametrize("attestation", [Attestation.LISTED, Attestation.CERTIFIED])
def test_a_key_that_proves_its_model_is_added(attestation: str, trusted: Maker) -> None:
    policy(attestation, trusted)
    api = bearer()
    assert api.post("devices", {"kind": "fido2"}).json()["public_key"]["attestation"] == "direct"
    assert enrol(api, trusted.create).status_code == 200
    row = Device.objects.get(kind="fido2", state="active")
    assert (row.attested, row.attestation, row.aaguid) == ("certified", "packed", trusted.aaguid)


def forged(maker: Maker) -> dict[str, Callable[[SoftKey, dict[str, Any]], dict[str, Any]]]:
    """Registrations that prove nothing, by what is wrong with them."""
    stranger = Maker(aaguid=maker.aaguid)
    same_name = Maker(aaguid=maker.aaguid, issuer=Issuer("Root of a maker"))
    no_ca = Issuer("No authority", maker.root, ca=False)
    under = Maker(aaguid=maker.aaguid, issuer=no_ca)
    past, expired_issuer = Maker(aaguid=maker.aaguid, issuer=maker.root, days=-1), Issuer("Expired", maker.root, days=-1)
    under_past = Maker(aaguid=maker.aaguid, issuer=expired_issuer)
    other_model = Maker(aaguid=maker.aaguid, said=uuid4(), issuer=maker.root)
    no_unit = Maker(aaguid=maker.aaguid, issuer=maker.root, unit="Something")

    def flipped(key: SoftKey, options: dict[str, Any]) -> dict[str, Any]:
        return restated(key.create(options), "packed", {"alg": -7, "sig": b"\x30\x00", "x5c": [maker.der]})

    def of_another(key: SoftKey, options: dict[str, Any]) -> dict[str, Any]:
        other = maker.create(SoftKey(), options)
        said: Any = cbor.decode(unb64(other["response"]["attestationObject"]))
        key.aaguid = maker.aaguid.bytes
        return restated(key.create(options), "packed", said["attStmt"])

    return {
        "none": lambda key, options: key.create(options),
        "self": self_attested,
        "a stranger's root": stranger.create,
        "a root of the same name": same_name.create,
        "an issuer that is none": lambda key, options: under.create(key, options, chain=[under.der, no_ca.der]),
        "a certificate of the past": past.create,
        "an issuer of the past": lambda key, options: under_past.create(
            key, options, chain=[under_past.der, expired_issuer.der]
        ),
        "another model in the certificate": other_model.create,
        "a certificate for something else": no_unit.create,
        "a chain out of order": lambda key, options: maker.create(key, options, chain=[maker.der, maker.der]),
        "a signature that is none": flipped,
        "the statement of another key": of_another,
        "an unknown format": lambda key, options: restated(key.create(options), "android-key", {"x5c": [maker.der]}),
        "junk for a statement": lambda key, options: restated(key.create(options), "packed", {"x5c": 7}),
    }


@pytest.mark.parametrize("wrong", list(forged(Maker())))
def test_what_proves_nothing_is_refused_and_costs_nothing(wrong: str, trusted: Maker) -> None:
    policy(Attestation.CERTIFIED)
    api = bearer()
    assert code_of(enrol(api, forged(trusted)[wrong])) == (409, "device_not_usable")
    assert doubt() not in ("", "not_asked")
    row = Device.objects.get(kind="fido2")
    assert (row.state, row.failures) == ("assigned", 0)


def test_an_intermediate_may_stand_between(trusted: Maker) -> None:
    policy(Attestation.CERTIFIED)
    between = Issuer("Between", trusted.root)
    maker = Maker(issuer=between)
    chain = [maker.der, between.der]
    assert enrol(bearer(), lambda key, options: maker.create(key, options, chain=chain)).status_code == 200


def test_a_model_that_is_not_listed_is_refused_though_it_proves_itself(trusted: Maker) -> None:
    policy(Attestation.LISTED, Maker())
    assert code_of(enrol(bearer(), trusted.create)) == (409, "device_not_usable")


def test_the_metadata_says_which_models_are_certified(service: Service, tmp_path: Path) -> None:
    good, plain, broken, unknown = Maker(), Maker(), Maker(), Maker()
    models = [(good, CERTIFIED), (plain, ["NOT_FIDO_CERTIFIED"]), (broken, [*CERTIFIED, "USER_KEY_PHYSICAL_COMPROMISE"])]
    install(service, service.blob(*models), tmp_path)
    policy(Attestation.CERTIFIED)
    assert enrol(bearer(), good.create).status_code == 200
    for maker, why in ((plain, ""), (broken, "compromised"), (unknown, "no_anchor")):
        assert code_of(enrol(bearer(), maker.create)) == (409, "device_not_usable")
        assert doubt() == why
    policy(Attestation.LISTED, plain, broken)
    assert enrol(bearer(), plain.create).status_code == 200, "it proves its model, which is what was asked for"
    assert code_of(enrol(bearer(), broken.create)) == (409, "device_not_usable")


def test_what_the_metadata_says_goes_before_an_anchor(service: Service, trusted: Maker, tmp_path: Path) -> None:
    install(service, service.blob((trusted, [*CERTIFIED, "REVOKED"])), tmp_path)
    policy(Attestation.CERTIFIED)
    assert code_of(enrol(bearer(), trusted.create)) == (409, "device_not_usable")


def test_only_a_list_that_the_service_signed_is_installed(service: Service, tmp_path: Path) -> None:
    maker = Maker()
    good = service.blob((maker, CERTIFIED), number=5)
    head, payload, signature = good.split(b".")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    unsigned = b".".join([b64(b'{"alg":"none","x5c":[]}').encode(), payload, b""])
    strange = Service(elsewhere).blob((maker, CERTIFIED), number=9)
    for blob in (b"", b"junk", head + b"." + payload + b"." + signature[:-4], unsigned, strange):
        with pytest.raises(CommandError, match="nothing changed"):
            install(service, blob, tmp_path)
    assert fido_metadata.current() is None
    install(service, good, tmp_path)
    with pytest.raises(CommandError, match="older"):
        install(service, service.blob((maker, CERTIFIED), number=4), tmp_path)
    known = fido_metadata.current()
    assert known is not None and known.number == 5 and maker.aaguid in known.by_aaguid


def test_keys_of_a_model_that_broke_prove_nothing_any_more(service: Service, tmp_path: Path) -> None:
    maker = Maker()
    install(service, service.blob((maker, CERTIFIED)), tmp_path)
    policy(Attestation.CERTIFIED)
    person, key = make_person("totp"), SoftKey()
    assert enrol(bearer(person), lambda _key, options: maker.create(key, options)).status_code == 200
    row, api = Device.objects.get(kind="fido2"), Api()
    handle = api.start(person)
    assert api.answer(handle, row, key.get(api.challenge(handle, row))).status_code == 200
    install(service, service.blob((maker, [*CERTIFIED, "REVOKED"]), number=2), tmp_path)
    asked = api.post("sign-ins/challenge", {"sign_in": api.start(person), "device": str(row.uuid)})
    assert code_of(asked) == (409, "device_not_usable")
    assert Event.objects.filter(act="attestation_lost", device=row.uuid, person=person.user.uuid).count() == 1


def test_keys_of_before_the_policy_are_blocked() -> None:
    person, api = make_person("fido2"), Api()
    policy(Attestation.CERTIFIED)
    asked = api.post("sign-ins/challenge", {"sign_in": api.start(person), "device": str(person.key.uuid)})
    assert code_of(asked) == (409, "device_not_usable")


def test_a_policy_that_came_while_the_key_was_added_is_asked_too(trusted: Maker) -> None:
    api, key = bearer(), SoftKey()
    begun = api.post("devices", {"kind": "fido2"}).json()
    policy(Attestation.CERTIFIED)
    answer = trusted.create(key, begun["public_key"])
    confirmed = api.post(f"devices/{begun['device']['uuid']}/confirm", {"answer": answer})
    assert code_of(confirmed) == (409, "device_not_usable")
    assert doubt() == "not_asked"
