"""Bad input gets the status and code of the contract, in bounded time, and leaves nothing behind."""

import json
import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import BrowserSession, SignIn
from devices.models import Device
from tests.conftest import Api, Person, code_of, make_person, make_token
from tests.soft_key import b64

pytestmark = pytest.mark.django_db

GOOD = '{"username":"alice","password":"x"}'
BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b" ", 400, "malformed"),
    "UTF-16": (GOOD.encode("utf-16"), 400, "malformed"),
    "broken": (b'{"username":', 400, "malformed"),
    "a list": (b"[]", 400, "malformed"),
    "null": (b"null", 400, "malformed"),
    "text": (b'"alice"', 400, "malformed"),
    "not UTF-8": (b'{"username":"\xff","password":"x"}', 400, "malformed"),
    "a missing field": (b'{"username":"alice"}', 400, "malformed"),
    "a number for a name": (b'{"username":1,"password":"x"}', 400, "malformed"),
    "true for a name": (b'{"username":true,"password":"x"}', 400, "malformed"),
    "null for a name": (b'{"username":null,"password":"x"}', 400, "malformed"),
    "a list for a name": (b'{"username":["alice"],"password":"x"}', 400, "malformed"),
    "an object for a name": (b'{"username":{},"password":"x"}', 400, "malformed"),
    "an unknown field": (b'{"username":"alice","password":"x","admin":true}', 400, "unknown_field"),
    "a duplicate key": (b'{"username":"alice","username":"bob","password":"x"}', 400, "malformed"),
    "NUL": (b'{"username":"al\\u0000ice","password":"x"}', 400, "malformed"),
    "a lone surrogate": (b'{"username":"\\ud800","password":"x"}', 400, "malformed"),
    "NaN": (b'{"username":NaN,"password":"x"}', 400, "malformed"),
    "10,000 nested arrays": (b'{"username":' + b"[" * 10_000 + b"]" * 10_000 + b',"password":"x"}', 400, "malformed"),
    "10,000 open arrays": (b"[" * 10_000, 400, "malformed"),
    "a huge number": (b'{"username":' + b"9" * 10_000 + b',"password":"x"}', 400, "malformed"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), 400, "malformed"),
    "1 MiB": (b'{"username":"' + b"a" * 1_048_576 + b'","password":"x"}', 413, "too_large"),
    "64 KiB of password": (b'{"username":"alice","password":"' + b"a" * 65_400 + b'"}', 401, "bad_credentials"),
}


def send(path: str, body: bytes, content_type: str = "application/json", method: str = "post", **extra: Any) -> Any:
    return getattr(Client(), method)(path, data=body, content_type=content_type, **extra)


@pytest.mark.parametrize("case", BODIES)
def test_a_malformed_body_has_its_status_and_code(case: str) -> None:
    body, status, code = BODIES[case]
    began = time.perf_counter()
    answer = send("/api/v1/sign-ins", body)
    assert code_of(answer) == (status, code)
    assert time.perf_counter() - began < 1
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert not SignIn.objects.exists()


CALLS = ["sign-ins", "sign-ins/challenge", "sign-ins/answer", "sign-ins/enrol", "sign-ins/enrol/confirm", "sign-ins/cancel"]


def test_the_detail_says_which_field_it_is() -> None:
    said = [send("/api/v1/sign-ins", body).json()["detail"] for body in (b"{}", b'{"username":1,"password":"x"}', b'{"x":1}')]
    assert said == ["username is missing.", "username has the wrong type.", "This call takes username, password."]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("case", BODIES)
def test_no_call_answers_a_malformed_body_with_a_fault(call: str, case: str) -> None:
    answer = send(f"/api/v1/{call}", BODIES[case][0])
    assert 400 <= answer.status_code < 500
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_only_json_is_taken(content_type: str) -> None:
    assert code_of(send("/api/v1/sign-ins", GOOD.encode(), content_type)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_other_methods_say_what_is_allowed(method: str) -> None:
    answer = send("/api/v1/sign-ins", b"", method=method)
    assert code_of(answer) == (405, "method_not_allowed")
    assert answer["Allow"] == "POST"


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "９", "99999999999999999999"])
def test_a_strange_content_length_is_refused(length: str) -> None:
    answer = send("/api/v1/sign-ins", GOOD.encode(), CONTENT_LENGTH=length)
    assert answer.status_code in (400, 413)


def test_a_well_formed_request_id_is_taken_over_and_another_replaced() -> None:
    assert send("/api/v1/sign-ins", b"{", HTTP_X_REQUEST_ID="abc-123.DEF_9")["X-Request-ID"] == "abc-123.DEF_9"
    for strange in ("short", "x" * 65, "a b c d e f", "<script>alert</script>", "line\\nbreak"):
        assert send("/api/v1/sign-ins", b"{", HTTP_X_REQUEST_ID=strange)["X-Request-ID"] != strange


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/", "/oauth2/nothing", "/api/v2/sign-ins", "/.well-known/nothing"])
def test_an_unknown_api_path_is_a_problem_too(path: str) -> None:
    assert code_of(Client().get(path)) == (404, "not_found")


@pytest.mark.parametrize(
    "device", ["", "x", "0", "not-a-uuid", "{}", "../../x", "a" * 5000, "00000000-0000-0000-0000-000000000000"]
)
def test_a_device_that_is_none_is_not_found(api: Api, alice: Person, device: str) -> None:
    handle = api.start(alice)
    body = {"sign_in": handle, "device": device, "answer": "123456"}
    assert code_of(api.post("sign-ins/answer", body)) == (404, "not_found")
    assert code_of(api.post("sign-ins/challenge", {"sign_in": handle, "device": device})) == (404, "not_found")


def test_the_wrong_type_of_answer_is_malformed_and_counts_nothing(api: Api, alice: Person, bob: Person) -> None:
    handle = api.start(alice)
    wrong_types: list[Any] = [{}, {"code": alice.code()}, 123456, True, None, [alice.code()], 1.5]
    for given in wrong_types:
        assert code_of(api.answer(handle, alice.app, given)) == (400, "malformed")
    key_handle = api.start(bob)
    options = api.challenge(key_handle, bob.key)
    assert code_of(api.answer(key_handle, bob.key, "123456")) == (400, "malformed")
    assert api.answer(key_handle, bob.key, bob.soft_key.get(options)).status_code == 200, "the challenge was not taken by it"
    alice.app.refresh_from_db()
    assert alice.app.failures == 0


JUNK_ASSERTIONS: list[Any] = [
    {},
    {"id": "AAAA"},
    {"id": 1, "response": 2},
    {"response": {"clientDataJSON": "AAAA"}},
    {"id": "", "rawId": "", "type": "public-key", "response": {}},
    {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": b64(b"[" * 9999)}},
    {"id": "ü" * 100, "type": "public-key", "response": {"clientDataJSON": "ü", "authenticatorData": [], "signature": {}}},
    {"a": {"b": {"c": {"d": "e"}}}},
]


@pytest.mark.parametrize("junk", JUNK_ASSERTIONS, ids=range(len(JUNK_ASSERTIONS)))
def test_any_object_is_a_wrong_answer_of_a_key_and_counted(api: Api, bob: Person, junk: Any) -> None:
    handle = api.start(bob)
    api.challenge(handle, bob.key)
    assert code_of(api.answer(handle, bob.key, junk)) == (401, "wrong_answer")
    bob.key.refresh_from_db()
    assert bob.key.failures == 1


def test_a_real_assertion_with_any_byte_changed_is_a_wrong_answer(api: Api, bob: Person) -> None:
    handle = api.start(bob)
    options = api.challenge(handle, bob.key)
    good = json.dumps(bob.soft_key.get(options))
    from devices.kinds import fido2
    from mfa_site.errors import Refused
    from mfa_site.site import this_site

    taken = 0
    for position in range(0, len(good), 3):
        changed = good[:position] + chr((ord(good[position]) - 32 + 7) % 95 + 32) + good[position + 1 :]
        try:
            answer = json.loads(changed)
            fido2.verify(bob.key, answer, options["challenge"], this_site(), timezone.now())
            taken += 1
        except (ValueError, Refused):
            continue
    # What may change unseen: the names and values of members that WebAuthn tells us to ignore.
    assert taken < len(good) // 3 * 0.35


def test_an_unknown_grant_spends_nothing(api: Api, alice: Person) -> None:
    handle = api.start(alice)
    assert code_of(api.answer(handle, alice.app, alice.code(), grant="admin")) == (400, "malformed")
    assert api.answer(handle, alice.app, alice.code()).status_code == 200


def test_an_unknown_kind_of_device_is_malformed(api: Api, nora: Person) -> None:
    handle = api.start(nora)
    for kind in ("", "sms", "TOTP", "HOTP", "recovery", "temporary", "x" * 1000):
        assert code_of(api.post("sign-ins/enrol", {"sign_in": handle, "kind": kind})) == (400, "malformed")
    for name in ("x" * 65, "a\nb", "\u202e", "\u0007"):
        body = {"sign_in": handle, "kind": "totp", "name": name}
        assert code_of(api.post("sign-ins/enrol", body)) == (400, "malformed"), ascii(name)
    assert not Device.objects.exists()


STRANGE = ["", " ", "x" * 30_000, "' OR 1=1 --", "=cmd|' /C calc'!A0", "\u202eTOKEN", "ß" * 5_000, "٣٣٣", "%", "_", "\ud7ff"]


@pytest.mark.parametrize("strange", range(len(STRANGE)))
@pytest.mark.parametrize("kind", ["totp", "hotp", "yubiotp"])
def test_strange_serials_and_codes_take_nothing_in_bounded_time(alice: Person, kind: str, strange: int) -> None:
    api, held = Api(Api().sign_in(alice)["access_token"]), make_token(kind)
    began = time.perf_counter()
    for serial, answers in (
        (STRANGE[strange], held.two()),
        (held.device.serial, [STRANGE[strange]] * 2),
        (held.device.serial, [held.two()[0], STRANGE[strange]]),
    ):
        body = {"kind": kind, "serial": serial, "answers": answers}
        assert code_of(api.post("devices", body)) == (401, "wrong_answer")
    assert time.perf_counter() - began < 1
    assert Device.objects.get(pk=held.device.pk).state == "in_stock"


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "invalid_request"),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=x", "invalid_grant"),
        ("grant_type=refresh_token&refresh_token=", "invalid_grant"),
        ("grant_type=refresh_token&refresh_token=%00", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=%ff", "invalid_grant"),
        ("grant_type=refresh_token&refresh_token=a&refresh_token=b", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=" + "a" * 5000, "invalid_request"),
        ("grant_type=refresh_token&refresh_token=x&scope=admin", "invalid_scope"),
        ("grant_type=refresh_token&refresh_token=x&client_id=other", "invalid_client"),
        ("&".join(f"a{number}=1" for number in range(2000)), "invalid_request"),
    ],
)
def test_the_token_endpoint_refuses_in_oauths_words(body: str, error: str) -> None:
    answer = send("/oauth2/token", body.encode(), FORM)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error
    assert answer["Cache-Control"] == "no-store"


def test_the_token_endpoint_takes_only_forms() -> None:
    assert send("/oauth2/token", b"{}").json() == {"error": "invalid_request"}
    assert send("/oauth2/token", b"", method="get").status_code == 405


@pytest.mark.parametrize("field", ["username", "password"])
def test_strange_forms_are_shown_again_with_a_sentence(alice: Person, field: str) -> None:
    for value in ("", "\0", "x" * 5000, "\ud7ff" * 10):
        fields = {"username": "alice", "password": alice.password, field: value}
        answer = Client().post("/sign-in/", fields)
        assert 400 <= answer.status_code < 500
        assert answer["Content-Type"].startswith("text/html")
        assert alice.password not in answer.content.decode()
    assert not SignIn.objects.exists() and not BrowserSession.objects.exists()


@pytest.mark.parametrize(
    "path",
    ["/sign-in/x/", "/sign-in/00000000-0000-0000-0000-000000000000/", "/account/devices/x/", "/account/devices/add/sms/"],
)
def test_strange_addresses_are_no_fault(path: str) -> None:
    assert Client().get(path).status_code in (302, 401, 404)


def test_junk_cookies_and_headers_are_a_stranger() -> None:
    for value in ("", "x", "\x7f", "a" * 5000, "../../etc", "ü"):
        client = Client()
        client.cookies["session"] = value
        assert client.get("/account/").status_code == 302
    for header in ("", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic YTpi", "Bearer " + "a" * 10_000, "ü"):
        answer = Client().get("/api/v1/me", HTTP_AUTHORIZATION=header)
        assert code_of(answer) == (401, "not_signed_in")
        assert "Bearer" in answer["WWW-Authenticate"]


def test_a_name_of_combining_marks_costs_no_more_than_another(alice: Person) -> None:
    name = "\u0345" * 9_000 + "\u0301" * 9_000 + "\u0334" * 9_000
    began = time.process_time()
    answer = send("/api/v1/sign-ins", json.dumps({"username": name, "password": "x"}, ensure_ascii=False).encode())
    assert code_of(answer) == (401, "bad_credentials")
    assert time.process_time() - began < 0.5


def test_a_foreign_host_is_refused() -> None:
    assert Client().get("/sign-in/", HTTP_HOST="evil.example").status_code == 400


def test_the_list_of_devices_refuses_strange_pages() -> None:
    person = make_person("totp", "fido2")
    api = Api(Api().sign_in(person)["access_token"])
    for query in (
        "limit=0",
        "limit=-1",
        "limit=101",
        "limit=x",
        "limit=９",
        "limit=" + "9" * 50,
        "limit=000001" + "0" * 5000,
        "limit=0000019999",
    ):
        assert code_of(api.get(f"devices?{query}")) == (400, "malformed"), query
    for query in ("after=x", "after=00000000-0000-0000-0000-000000000000"):
        assert code_of(api.get(f"devices?{query}")) == (404, "not_found")
    first = api.get("devices?limit=1").json()
    second = api.get(f"devices?limit=1&after={first['next']}").json()
    assert [row["kind"] for row in (*first["devices"], *second["devices"])] == ["totp", "fido2"]
    assert second["next"] is None
