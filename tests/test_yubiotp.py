"""Yubico OTPs: against published numbers and Yubico's own tool, against a validation server, and against servers that lie."""

import base64
import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from yubico_client import Yubico
from yubico_client.yubico_exceptions import StatusCodeError

from devices import yubico, yubico_server
from devices.kinds import yubiotp
from devices.models import Device
from mfa_site import servers
from mfa_site.errors import Reason, Refused
from tests.authenticators import YubiKey
from tests.conftest import Api, Person, code_of, make_person
from tests.yubico_server import ValidationServer, running

pytestmark = pytest.mark.django_db

# libyubikey's own example: AES key, private id, what the key typed (its public id there has 8 letters), and what is in it.
KEY, PRIVATE_ID = "ecde18dbe76fbd0c33330f1c354871db", "8792ebfe26cc"
TYPED, USAGE, SESSION = "hknhfjbrjnlnldnhcujvddbikngjrtgh", 0x13, 0x11
PUBLIC_ID = "dteffujedcfl"


def published(secret: str = PRIVATE_ID + KEY, public_id: str = PUBLIC_ID) -> Device:
    """A device with the published secret."""
    row = Device(kind="yubiotp", name="YubiKey", public_id=public_id)
    row.seed = bytes.fromhex(secret)
    return row


def judged(row: Device, otp: str) -> Any:
    return yubiotp.verify(row, otp, "", yubiotp._NO_SITE, None)  # type: ignore[arg-type]


def refused(row: Device, otp: str) -> Reason:
    with pytest.raises(Refused) as caught:
        judged(row, otp)
    return caught.value.reason


@pytest.mark.parametrize("typed", [PUBLIC_ID + TYPED, (PUBLIC_ID + TYPED).upper(), f" {PUBLIC_ID}{TYPED}\n"])
def test_the_published_example_opens_and_proves_its_counters(typed: str) -> None:
    assert judged(published(), typed).counter == USAGE << 8 | SESSION


def test_what_is_not_the_keys_own_is_told_apart() -> None:
    other = published(public_id="c" * 12)
    assert refused(other, PUBLIC_ID + TYPED) is Reason.CODE_OTHER_YUBIKEY
    assert refused(published("00" * 6 + KEY), PUBLIC_ID + TYPED) is Reason.CODE_WRONG, "another private id"
    assert refused(published(PRIVATE_ID + "00" * 16), PUBLIC_ID + TYPED) is Reason.CODE_WRONG, "another AES key"
    near = (TYPED, PUBLIC_ID + TYPED[:-1], PUBLIC_ID + TYPED + "c", PUBLIC_ID + "a" * 32)
    for typed in ("", "123456", *near, "ｃ" * 44, "c" * 10**6, (PUBLIC_ID + TYPED).replace("k", "\u212a")):
        assert refused(published(), typed) is Reason.CODE_NO_YUBICO_OTP, typed[:50]
    used = published()
    used.counter = USAGE << 8 | SESSION
    assert refused(used, PUBLIC_ID + TYPED) is Reason.ANSWER_USED


def test_a_changed_letter_is_no_code_of_the_key() -> None:
    for place in range(0, 32, 5):
        changed = TYPED[:place] + ("c" if TYPED[place] != "c" else "b") + TYPED[place + 1 :]
        assert refused(published(), PUBLIC_ID + changed) is Reason.CODE_WRONG, "the CRC, or the private id"


@pytest.mark.skipif(not shutil.which("ykgenerate"), reason="no ykgenerate here (Debian: libyubikey-dev)")
def test_codes_of_yubicos_own_tool_open(alice: Person) -> None:
    row = published(PRIVATE_ID + KEY)
    for usage, session, fine in [(1, 0, True), (1, 255, True), (0x7FFF, 3, True), (0x7FFF, 2, False), (0x100, 0, False)]:
        made = ["ykgenerate", KEY, PRIVATE_ID, f"{usage:04x}", "c0de", "42", f"{session:02x}"]
        typed = subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()
        if fine:
            row.counter = judged(row, PUBLIC_ID + typed).counter
            assert row.counter == usage << 8 | session
        else:
            assert refused(row, PUBLIC_ID + typed) is Reason.ANSWER_USED


# ---- a validation server -----------------------------------------------------------------------------------------------


@pytest.fixture
def server(settings: Any) -> Iterator[ValidationServer]:
    with running() as state:
        settings.YUBICO_URL, settings.YUBICO_ID, settings.YUBICO_KEY = state.url, "42", state.api_key
        yield state


@pytest.fixture
def key(server: ValidationServer) -> YubiKey:
    """A YubiKey that the server knows and nobody here."""
    row = Device(kind="yubiotp", public_id="cccccccccccb")
    made = YubiKey(row, b"secret", b"0123456789abcdef")
    server.keys[row.public_id] = made
    return made


def test_an_independent_client_takes_the_server_for_one(server: ValidationServer, key: YubiKey) -> None:
    secret = base64.b64encode(server.api_key).decode()
    client = Yubico("42", secret, api_urls=(f"http://127.0.0.1:{server.port}/wsapi/2.0/verify",))
    otp = key.next()
    assert client.verify(otp) is True
    with contextlib.suppress(StatusCodeError):
        assert not client.verify(otp), "replayed"


def enrolled(person: Person, key: YubiKey) -> Device:
    """The person has added the key by a touch."""
    bearer = Api(Api().sign_in(person)["access_token"])
    shown = bearer.post("devices", {"kind": "yubiotp"}).json()
    done = bearer.post(f"devices/{shown['device']['uuid']}/confirm", {"answer": key.next()})
    assert done.status_code == 200, done.content
    row: Device = Device.objects.get(uuid=shown["device"]["uuid"])
    return row


def test_a_key_is_enrolled_by_a_touch_and_signs_in(server: ValidationServer, key: YubiKey, alice: Person) -> None:
    row = enrolled(alice, key)
    assert (row.public_id, row.secret, row.counter, row.name) == (key.device.public_id, "", 1 << 8 | 1, "YubiKey")
    api, otp = Api(), key.next()
    got = api.answer(api.start(alice), row, otp).json()
    assert Api(got["access_token"]).get("me").json()["amr"] == ["pwd", "otp", "hwk", "mfa"]
    assert code_of(api.answer(api.start(alice), row, otp)) == (401, "answer_used")
    stranger = key.device.public_id + "c" * 32
    assert code_of(api.answer(api.start(alice), row, stranger)) == (401, "wrong_answer")


def test_the_same_key_is_nobody_elses_until_it_is_removed(server: ValidationServer, key: YubiKey, alice: Person) -> None:
    row, mallory = enrolled(alice, key), make_person("totp", username="mallory")
    bearer = Api(Api().sign_in(mallory)["access_token"])
    shown = bearer.post("devices", {"kind": "yubiotp"}).json()
    assert code_of(bearer.post(f"devices/{shown['device']['uuid']}/confirm", {"answer": key.next()})) == (401, "wrong_answer")
    row.retire()
    Device.objects.filter(kind="totp").update(counter=-1)
    assert enrolled(mallory, key).user == mallory.user


def test_without_a_server_a_key_cannot_be_enrolled(alice: Person) -> None:
    bearer = Api(Api().sign_in(alice)["access_token"])
    assert code_of(bearer.post("devices", {"kind": "yubiotp"})) == (400, "malformed")


def set_(name: str, value: str) -> Any:
    def spoil(said: dict[str, str]) -> None:
        said[name] = value

    return spoil


def signed(server: ValidationServer, **changes: str | None) -> Any:
    """A lie that is signed."""

    def spoil(said: dict[str, str]) -> None:
        for name, value in changes.items():
            if value is None:
                said.pop(name, None)
            else:
                said[name] = value
        said["h"] = server.sign(said)

    return spoil


LIES = [
    lambda server: set_("h", "AAAA"),
    lambda server: set_("h", ""),
    lambda server: set_("status", "OK"),
    lambda server: set_("sessioncounter", "32000"),
    lambda server: signed(server, nonce="another"),
    lambda server: signed(server, otp="c" * 44),
    lambda server: signed(server, status="REPLAYED_OTP", nonce="another"),
    lambda server: signed(server, status="BAD_OTP", otp="c" * 44),
    lambda server: signed(server, sessioncounter=None),
    lambda server: signed(server, sessionuse="x"),
    lambda server: signed(server, sessionuse="256"),
    lambda server: signed(server, sessioncounter="-1"),
    lambda server: signed(server, status=None),
    *(
        lambda server, status=status: signed(server, status=status)
        for status in ("BACKEND_ERROR", "NOT_ENOUGH_ANSWERS", "NO_SUCH_CLIENT", "OPERATION_NOT_ALLOWED", "ok", "")
    ),
]


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_does_not_count_is_as_if_the_server_were_away(
    server: ValidationServer, key: YubiKey, alice: Person, lie: Any
) -> None:
    row, api = enrolled(alice, key), Api()
    handle = api.start(alice)
    if lie is LIES[2]:  # a good status in place of a bad one, under the signature of the bad one
        server.spoil = set_("status", "OK")
        answer = api.answer(handle, row, key.device.public_id + "c" * 32)
    else:
        server.spoil = lie(server)
        answer = api.answer(handle, row, key.next())
    assert code_of(answer) == (503, "unavailable")
    row.refresh_from_db()
    assert (row.failures, row.held_until) == (0, None), "nothing was counted"
    server.spoil = lambda said: None
    assert api.answer(handle, row, key.next()).status_code == 200, "and it goes on by itself"


def test_a_bad_code_is_wrong_also_as_yubicos_own_server_says_it(server: ValidationServer, key: YubiKey, alice: Person) -> None:
    row, api = enrolled(alice, key), Api()
    server.spoil = signed(server, otp=None, nonce=None)
    answer = api.answer(api.start(alice), row, key.device.public_id + "c" * 32)
    assert code_of(answer) == (401, "wrong_answer"), "without the OTP and the nonce, but signed"
    row.refresh_from_db()
    assert row.failures == 1


def raw(data: bytes) -> Any:
    return lambda handler, _body: handler.wfile.write(data)


def endless(handler: Any, body: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(2000):
            handler.wfile.write(b"x" * 5000)


def slow(handler: Any, body: bytes) -> None:
    time.sleep(1.5)
    raw(b"HTTP/1.0 200 OK\r\n\r\n" + body)(handler, body)


BROKEN = {
    "page": raw(b"HTTP/1.0 200 OK\r\n\r\n<html>Hello</html>"),
    "fault": raw(b"HTTP/1.0 500 Oh\r\n\r\n"),
    "moved": raw(b"HTTP/1.0 302 There\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
    "noise": raw(b"\x00\xff\xfe not http\r\n\r\n"),
    "nothing": raw(b""),
    "no text": raw(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(range(256))),
    "endless": endless,
    "slow": slow,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_server_stops_nobody_for_long(
    server: ValidationServer, key: YubiKey, alice: Person, monkeypatch: pytest.MonkeyPatch, how: str, caplog: Any
) -> None:
    row, api = enrolled(alice, key), Api()
    handle, otp = api.start(alice), key.next()
    server.deliver = BROKEN[how]
    monkeypatch.setattr(yubico_server, "READ", 0.5)
    began = time.monotonic()
    assert code_of(api.answer(handle, row, otp)) == (503, "unavailable")
    assert time.monotonic() - began < 3
    assert otp[12:] not in caplog.text and "no answer that counts" in caplog.text
    row.refresh_from_db()
    assert row.failures == 0


def test_the_next_server_is_asked_where_one_cannot_be_reached(
    server: ValidationServer, key: YubiKey, alice: Person, settings: Any
) -> None:
    settings.YUBICO_URL = f"http://127.0.0.1:1/wsapi/2.0/verify, {server.url}"
    row, api = enrolled(alice, key), Api()
    assert api.answer(api.start(alice), row, key.next()).status_code == 200
    settings.YUBICO_URL = "http://127.0.0.1:1/wsapi/2.0/verify"
    assert code_of(api.answer(api.start(alice), row, key.next())) == (503, "unavailable")


GOOD = {
    "YUBICO_URL": "https://yubico.example.org/verify",
    "YUBICO_ID": "42",
    "YUBICO_KEY": base64.b64encode(b"k" * 20).decode(),
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"YUBICO_URL": ""},
        {"YUBICO_ID": ""},
        {"YUBICO_KEY": ""},
        {"YUBICO_ID": "x"},
        {"YUBICO_KEY": "secret-of-ours!"},
        {"YUBICO_URL": "http://yubico.example.org/verify"},
        {"YUBICO_URL": "https://a.example.org/v,ftp://b.example.org"},
    ],
)
def test_half_a_setting_stops_the_start_without_its_secret(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]) -> None:
    for name, value in {**GOOD, **wrong}.items():
        monkeypatch.setenv(f"MFA_SITE_{name}", value)
    with pytest.raises(ImproperlyConfigured) as caught:
        servers.yubico()
    assert "YUBICO" in str(caught.value) and GOOD["YUBICO_KEY"] not in str(caught.value) and "secret" not in str(caught.value)


def test_whole_settings_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(f"MFA_SITE_{name}", value)
    assert servers.yubico() == (GOOD["YUBICO_URL"], "42", b"k" * 20)


def test_modhex_is_hexadecimal_in_other_letters() -> None:
    assert yubico.from_modhex("cbdefghijklnrtuv") == bytes.fromhex("0123456789abcdef")
    assert re.fullmatch(f"[{yubico.MODHEX}]+", TYPED)
