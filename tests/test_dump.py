"""After everything that people do, nothing that they sent or saw in secret is in the database, the cache, the log or a queue.

The challenge of a security key is kept in its sign-in until it is answered (`SignIn.kept`); afterwards it is gone too.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management import call_command
from joserfc.jwk import ECKey

from accounts.management.commands import worker
from accounts.models import BrowserSession, SignIn
from audit.models import Event
from devices.models import Device
from grants import signing
from grants.models import SigningKey
from mfa_site import keyring
from mfa_site.models import StoredKey
from tests import conftest, dump, test_pages
from tests.conftest import Api, Person, code_of, make_person, make_token
from tests.soft_key import SoftKey
from tests.test_confirm import stale
from tests.test_enrolment import code_for
from tests.test_faults import database_away
from tests.test_pages import Browser
from tests.test_recovery import shown_codes
from tests.test_sessions import renewed
from tests.test_step_up import begin, by_bearer, by_session

pytestmark = pytest.mark.django_db(transaction=True)

Journey = Callable[[], None]
JOURNEYS: list[Journey] = []


def journey(walk: Journey) -> Journey:
    """One of the things that people do; with every feature, add its own."""
    JOURNEYS.append(walk)
    return walk


def browser_of(person: Person) -> Api:
    api = Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    return api


def form(path: str, **fields: str) -> Any:
    body = "&".join(f"{name}={value}" for name, value in fields.items())
    return Api().client.post(path, body, content_type="application/x-www-form-urlencoded")


# ---- what people do --------------------------------------------------------------------------------------------------


@journey
def by_app_with_mistakes() -> None:
    person, api = make_person("totp"), Api()
    api.post("sign-ins", {"username": person.user.username, "password": "not-the-password-at-all"})
    api.post("sign-ins", {"username": "a-password-in-the-wrong-field", "password": person.password})
    handle = api.start(person)
    api.answer(handle, person.app, person.wrong_code())
    api.answer(handle, person.app, "12345")
    api.answer(handle, person.app, person.code(), grant="nothing")
    assert api.answer(handle, person.app, person.code()).status_code == 200
    api.answer(api.start(person), person.app, person.code())
    api.post("sign-ins/cancel", {"sign_in": api.start(person)})


@journey
def by_key() -> None:
    person, api = make_person("fido2"), Api()
    handle = api.start(person)
    wrong = person.soft_key.get(api.challenge(handle, person.key))
    api.answer(handle, person.key, {**wrong, "type": "x"})
    api.answer(handle, person.key, person.soft_key.get(api.challenge(handle, person.key)))
    browser_of(person).get("me")


@journey
def tokens_refreshed_reused_and_revoked() -> None:
    person = make_person("totp")
    pair = Api().sign_in(person)
    for _ in range(2):
        form("/oauth2/token", grant_type="refresh_token", refresh_token=pair["refresh_token"])
    second = make_person("totp")
    pair = Api().sign_in(second)
    Api(pair["access_token"]).get("me")
    Api(pair["access_token"] + "x").get("me")
    form("/oauth2/revoke", token=pair["refresh_token"])
    form("/oauth2/token", grant_type="refresh_token", refresh_token=pair["refresh_token"])


@journey
def first_devices() -> None:
    for kind in ("totp", "fido2"):
        person, api = make_person(), Api()
        handle = api.start(person)
        shown = api.post("sign-ins/enrol", {"sign_in": handle, "kind": kind, "name": "Mine"}).json()
        given = code_for(shown) if kind == "totp" else SoftKey().create(shown["public_key"])
        body = {"sign_in": handle, "device": shown["device"]["uuid"], "answer": given}
        assert api.post("sign-ins/enrol/confirm", body).status_code == 200


@journey
def more_devices_one_removed_one_never_confirmed() -> None:
    person = make_person("totp")
    api = browser_of(person)
    for kind in ("totp", "fido2"):
        shown = api.post("devices", {"kind": kind}).json()
        given = code_for(shown) if kind == "totp" else SoftKey().create(shown["public_key"])
        assert api.post(f"devices/{shown['device']['uuid']}/confirm", {"answer": given}).status_code == 200
    assert api.post("devices", {"kind": "totp"}).status_code == 201
    assert api.call("PATCH", f"devices/{person.app.uuid}", {"name": "Old phone"}).status_code == 200
    assert api.call("DELETE", f"devices/{person.app.uuid}").status_code == 204


@journey
def recovery_codes() -> None:
    person = make_person("totp", "recovery")
    api = Api()
    first, second, *_rest = person.codes
    handle = api.start(person)
    api.answer(handle, person.code_set, first[:-1] + ("0" if first[-1] != "0" else "1"))
    for code in (first.replace("-", "").upper(), first):
        api.answer(handle, person.code_set, code)
    pair = Api().sign_in(person)
    assert Api(pair["access_token"]).post("recovery-codes").status_code == 201
    api.answer(api.start(person), person.code_set, second)
    browser = Browser().sign_in(make_person("totp")).go("/account/recovery-codes/").send(replaces="")
    codes = shown_codes(browser)
    assert len(codes) == 10
    token = browser.client.cookies["csrftoken"].value
    browser.client.post("/account/recovery-codes/file/", {"code": codes}, headers={"X-CSRFToken": token})


@journey
def by_every_other_kind() -> None:
    for kind in ("hotp", "hardware_totp", "yubiotp", "temporary", "sms", "email"):
        person, api = make_person(kind), Api()
        held, handle = person.held[kind], api.start(person)
        assert code_of(api.answer(handle, held.device, api.wrong(handle, held))) == (401, "wrong_answer")
        given = api.right(handle, held)
        assert api.answer(handle, held.device, given).status_code == 200
        assert api.answer(api.start(person), held.device, given).status_code in (401, 409), "used, or of another sign-in"


@journey
def tokens_taken_and_lined_up() -> None:
    person = make_person("hotp")
    api, held = Api(Api().sign_in(person, "hotp")["access_token"]), person.held["hotp"]
    for answers in (["000000", "000001"], held.two(presses=40)):
        api.post(f"devices/{held.device.uuid}/resync", {"answers": answers})
    for kind in ("totp", "hotp", "yubiotp"):
        token = make_token(kind)
        for answers in (["000000", "000001"], token.two()):
            taken = api.post("devices", {"kind": kind, "serial": token.device.serial, "answers": answers})
        assert taken.status_code == 201
    new, handle = make_token("hotp"), api.start(nobody := make_person())
    body = {"sign_in": handle, "kind": "hotp", "serial": new.device.serial, "answers": new.two()}
    assert Api().post("sign-ins/enrol", body).status_code == 200 and nobody.user.pk


@journey
def a_temporary_code_is_issued() -> None:
    admin, person = make_person("totp", is_staff=True, is_superuser=True), make_person("totp")
    api, body = Api(Api().sign_in(admin)["access_token"]), {"reason": "The phone is broken."}
    code = api.post(f"admin/users/{person.user.uuid}/temporary-codes", body).json()["code"]
    row = Device.objects.get(user=person.user, kind="temporary")
    for given in ("zzzz-zzzz", code):
        answer = api.answer(Api().start(person), row, given)
    assert answer.status_code == 200


@journey
def a_step_up() -> None:
    for signed_in in (by_session, by_bearer):
        person = make_person("totp", "fido2")
        api = signed_in(person)
        handle = begin(api)
        api.answer(handle, person.app, person.wrong_code())
        assert api.answer(handle, person.key, person.soft_key.get(api.challenge(handle, person.key))).status_code == 200


@journey
def on_pages() -> None:
    person = make_person("totp")
    browser = Browser().password(person, "/account/devices/")
    browser.send(code=person.wrong_code())
    browser.send(code=person.code())
    assert browser.at == "/account/devices/"
    browser.go("/account/devices/add/totp/")
    browser.send(code="123456")
    browser.send("/sign-out/")


@journey
def a_session_renewed() -> None:
    person = make_person("totp")
    api = browser_of(person)
    for _ in range(2):
        renewed(api.client, BrowserSession.objects.get(person=person.user, ended_at=None))
        api.get("me")


@journey
def sessions_looked_at_and_ended() -> None:
    person = make_person("totp", "fido2")
    api = browser_of(person)
    Browser().sign_in(make_person("totp")).go("/account/sessions/")
    handle = api.start(person)
    api.answer(handle, person.key, person.soft_key.get(api.challenge(handle, person.key)))
    listed = api.get("sessions").json()["sessions"]
    (other,) = (row for row in listed if not row["current"])
    assert api.call("DELETE", f"sessions/{other['uuid']}").status_code == 204
    assert api.call("DELETE", "sessions").status_code == 204


@journey
def a_password_changed() -> None:
    person = make_person("totp")
    browser = Browser().sign_in(person).go("/account/password/")
    new = "quite-another-long-password"
    browser.send(current="not-the-present-password", new=new, again=new)
    browser.send(current=person.password, new="short", again="short")
    browser.send(current=person.password, new=new, again=new)
    assert browser.at == "/account/" and person.user.check_password(person.password)
    person.user.refresh_from_db()
    assert person.user.check_password(new)


@journey
def what_was_typed_before_a_step_up() -> None:
    person = make_person("totp")
    browser = stale(person)
    new = "a-password-typed-too-late"
    browser.send("/account/password/", current=person.password, new=new, again=new)
    assert browser.at.startswith("/confirm/")
    half_way = make_person("totp")
    stale(half_way).send("/account/password/", current=half_way.password, new=new, again=new)
    browser.send(code=person.code())
    assert browser.at == "/account/password/"


@journey
def a_device_lost() -> None:
    person = make_person("totp", "fido2")
    api = browser_of(person)
    assert api.post(f"devices/{person.key.uuid}/lost").status_code == 200


@journey
def many_wrong_passwords() -> None:
    person = make_person("totp")
    for number in range(8):
        for name in (person.user.username, "a-password-in-the-wrong-field"):
            Api().post("sign-ins", {"username": name, "password": f"wrong-password-{number}"})


@journey
def with_the_database_away_and_bad_requests() -> None:
    person, api = make_person("totp"), Api()
    handle = api.start(person)
    for after in range(6):
        with database_away(after):
            api.answer(handle, person.app, person.code())
    api.post("sign-ins", {"username": person.user.username, "password": person.password, "more": person.password})
    api.post("sign-ins", {"username": person.user.username, "password": [person.password]})
    api.client.get(f"/sign-in/?password={person.password}")
    api.answer(handle, person.app, {"code": person.code()})


@journey
def keys_rotated() -> None:
    call_command("rotate_signing_keys", at_once=True)
    signing.forget()
    Api().sign_in(make_person("totp"))
    call_command("rotate_keys")


# ---- and what is found of it -----------------------------------------------------------------------------------------


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> dump.Secrets:
    """Filled by every client of the test, and with what the service keeps for itself."""
    secrets = dump.Secrets()
    watching = type("Watching", (dump.Watching,), {"secrets": secrets})
    for module in (conftest, test_pages):
        monkeypatch.setattr(module, "Client", watching)
    return secrets


def walk_all(secrets: dump.Secrets) -> str:
    """Every journey, and everything that the service kept and wrote by then."""
    with dump.logged() as lines:
        secrets.add("username that was a password", "a-password-in-the-wrong-field")
        for walk in JOURNEYS:
            walk()
        call_command(worker.Command(), once=True)
    add_own(secrets)
    return "\n".join((dump.tables(), dump.cached(), lines.getvalue()))


def add_own(secrets: dump.Secrets) -> None:
    """The keys and seeds of the service itself."""
    for device in Device.objects.exclude(secret=""):
        secrets.add("seed", device.seed)
    for key in StoredKey.objects.all():
        secrets.add("stored key", keyring.opened(key))
    for ring_key in settings.KEYRING.values():
        secrets.add("ring key", ring_key)
    secrets.add("SECRET_KEY", settings.SECRET_KEY)
    for row in SigningKey.objects.exclude(private=""):
        text = keyring.unseal(row.private, "grants_signingkey", "private", row.uuid)
        add_private_key(secrets, ECKey.import_key(json.loads(text)))


def add_private_key(secrets: dump.Secrets, key: Any) -> None:
    """An EC key as JWK, PEM and DER."""
    private: ec.EllipticCurvePrivateKey = key.private_key
    secrets.add("private key", key.as_dict(private=True)["d"])
    secrets.add("private key", private.private_numbers().private_value.to_bytes(32, "big"))
    for encoding in (Encoding.PEM, Encoding.DER):
        for container in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            encoded = private.private_bytes(encoding, container, NoEncryption())
            secrets.add("private key", encoded if encoding == Encoding.DER else encoded.decode())


def test_nothing_secret_is_kept_or_written_in_clear(secrets: dump.Secrets) -> None:
    everything = walk_all(secrets)
    assert SignIn.objects.count() > 10 and "signed_in" in everything and "v1.k1." in everything, "the dump is one"
    assert set(secrets.known.values()) >= {
        *("password", "answer", "code", "sign_in", "access_token", "refresh_token", "challenge", "signature"),
        *(
            "otpauth_uri",
            "codes",
            "seed",
            "stored key",
            "ring key",
            "SECRET_KEY",
            "private key",
            "cookie session",
            "cookie csrftoken",
        ),
    }, "and somebody had something to hide"
    assert secrets.found(everything) == []
    # In pages of the file that are free again, challenges may stand that were answered; a short code may stand by chance.
    long = {value: what for value, what in secrets.known.items() if what != "challenge" and len(value) > 8}
    assert dump.Secrets(long).found(dump.database_file()) == []


KINDS = ["password", "sign_in", "access_token", "refresh_token", "seed", "signature", "private key", "ring key"]


@pytest.mark.parametrize("kind", [*KINDS, "stored key", "cookie session", "challenge", "answer"])
def test_a_planted_secret_is_found_wherever_it_is(secrets: dump.Secrets, kind: str) -> None:
    person = make_person("totp", "fido2")
    with dump.logged() as lines:
        browser_of(person)
        pair = Api().sign_in(make_person("fido2"))
        assert form("/oauth2/token", grant_type="refresh_token", refresh_token=pair["refresh_token"]).status_code == 200
        assert browser_of(make_person("totp")).post("devices", {"kind": "totp"}).status_code == 201
    add_own(secrets)
    clean = dump.tables() + lines.getvalue()
    assert secrets.found(clean) == []
    value = next(value for value, what in secrets.known.items() if what == kind)
    shown = value if isinstance(value, str) else value.hex()
    places: list[Callable[[], Any]] = [
        lambda: Device.objects.update(name=shown),
        lambda: Event.objects.update(about={"deep": [shown]}),
        lambda: Device.objects.update(public_key=shown.encode()),
    ]
    for plant in places[1:] if len(shown) > 64 else places:
        plant()
        assert [one for one in secrets.found(dump.tables()) if one.startswith(kind)], kind
        Device.objects.update(name="", public_key=b"x")
        Event.objects.update(about={})
    with dump.logged() as lines:
        logging.getLogger("accounts").warning("here it is: %s", shown)
    assert [one for one in secrets.found(lines.getvalue()) if one.startswith(kind)], kind
    if settings.CACHE_URL:
        with redis.Redis.from_url(settings.CACHE_URL) as store:
            store.hset("mfa_site:planted", "here", shown)
            assert [one for one in secrets.found(dump.cached()) if one.startswith(kind)], kind
            store.delete("mfa_site:planted")
