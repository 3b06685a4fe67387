"""Signing in over the API, end to end with real codes and signatures."""

from datetime import timedelta

import jwt
import pytest
from django.utils import timezone

from accounts.models import SignIn
from audit.models import Event
from tests.conftest import Api, Person, code_of

pytestmark = pytest.mark.django_db


def test_password_and_code_are_worth_a_token_pair_that_pyjwt_verifies(api: Api, alice: Person) -> None:
    pair = api.sign_in(alice)
    assert pair["token_type"] == "Bearer"
    assert pair["expires_in"] == 300
    assert pair["refresh_expires_in"] == 8 * 3600
    assert pair["scope"] == "account"
    published = api.client.get("/.well-known/jwks.json").json()
    header = jwt.get_unverified_header(pair["access_token"])
    key = next(jwt.PyJWK(key) for key in published["keys"] if key["kid"] == header["kid"])
    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": key.key_id}
    claims = jwt.decode(
        pair["access_token"],
        key,
        algorithms=["ES256"],
        audience="http://localhost:8000",
        issuer="http://localhost:8000",
        options={"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "auth_time", "amr", "acr", "sid"]},
    )
    assert claims["sub"] == str(alice.user.uuid)
    assert claims["client_id"] == "mfa-site"
    assert claims["amr"] == ["pwd", "otp", "swk", "mfa"]
    assert claims["acr"] == "aal2"
    assert claims["exp"] - claims["iat"] == 300
    assert abs(claims["auth_time"] - timezone.now().timestamp()) < 5


def test_password_and_security_key_are_worth_a_phishing_resistant_token(api: Api, bob: Person) -> None:
    me = Api(api.sign_in(bob)["access_token"]).get("me").json()
    assert me["username"] == "bob"
    assert me["amr"] == ["pwd", "hwk", "mfa"]
    assert me["acr"] == "phr"


def test_a_session_grant_sets_the_cookie_and_needs_the_csrf_header(api: Api, alice: Person) -> None:
    handle = api.start(alice)
    assert code_of(api.answer(handle, alice.app, alice.code(), grant="session")) == (403, "csrf_failed")
    api.take_csrf()
    answer = api.answer(handle, alice.app, alice.code(), grant="session")
    assert answer.status_code == 200, "a refusal by 403 spends nothing"
    assert answer.json()["me"]["username"] == "alice"
    cookie = answer.cookies["session"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/" and not cookie["domain"]
    assert len(cookie.value) <= 60
    assert api.get("me").json()["amr"] == ["pwd", "otp", "swk", "mfa"]


def test_before_the_second_factor_only_the_least_is_shown_of_a_device(api: Api, alice: Person) -> None:
    started = api.post("sign-ins", {"username": "alice", "password": alice.password}).json()
    assert started["state"] == "waiting"
    assert 290 < started["expires_in"] <= 300
    assert started["devices"] == [
        {
            "uuid": str(alice.app.uuid),
            "kind": "totp",
            "name": "Authenticator app",
            "usable": True,
            "sent_to": None,
            "transports": None,
        }
    ]


@pytest.mark.parametrize("spelling", ["alice", "ALICE", "Alice", "ａｌｉｃｅ"])
def test_any_spelling_of_the_name_is_the_same_person(api: Api, alice: Person, spelling: str) -> None:
    assert api.post("sign-ins", {"username": spelling, "password": alice.password}).status_code == 201


def test_unknown_inactive_and_wrong_are_one_answer(api: Api, alice: Person, mallory: Person) -> None:
    mallory.user.is_active = False
    mallory.user.save()
    answers = [
        api.post("sign-ins", {"username": name, "password": password})
        for name, password in [("alice", "wrong"), ("nobody", "wrong"), ("mallory", mallory.password)]
    ]
    assert {code_of(answer) for answer in answers} == {(401, "bad_credentials")}
    assert len({str(sorted(answer.headers.keys())) for answer in answers}) == 1


def test_a_code_is_accepted_once(api: Api, alice: Person) -> None:
    code = alice.code()
    assert api.answer(api.start(alice), alice.app, code).status_code == 200
    assert code_of(api.answer(api.start(alice), alice.app, code)) == (401, "answer_used")
    alice.app.refresh_from_db()
    assert alice.app.failures == 0, "a used code is no guess"


def test_the_code_before_a_used_one_is_not_accepted_any_more(api: Api, alice: Person) -> None:
    assert api.answer(api.start(alice), alice.app, alice.code()).status_code == 200
    assert code_of(api.answer(api.start(alice), alice.app, alice.code(-1))) == (401, "answer_used")


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_codes_beyond_one_step_are_wrong(api: Api, alice: Person, steps: int) -> None:
    assert code_of(api.answer(api.start(alice), alice.app, alice.code(steps))) == (401, "wrong_answer")


@pytest.mark.parametrize("typed", ["{0}{1}{2} {3}{4}{5}", "{0}{1}{2}-{3}{4}{5}", " {0}{1}{2}{3}{4}{5} "])
def test_spaces_and_hyphens_that_people_type_are_taken_out(api: Api, alice: Person, typed: str) -> None:
    assert api.answer(api.start(alice), alice.app, typed.format(*alice.code())).status_code == 200


def test_a_code_in_other_digits_is_wrong(api: Api, alice: Person) -> None:
    for spelled in (
        "".join(chr(ord(digit) - ord("0") + ord("０")) for digit in alice.code()),
        "".join(chr(ord(digit) - ord("0") + ord("٠")) for digit in alice.code()),
        "+" + alice.code()[1:],
        "_".join(alice.code()),
        "0" + alice.code(),
        alice.code() + "\n",
        "",
        "c" * 44,
    ):
        assert code_of(api.answer(api.start(alice), alice.app, spelled)) == (401, "wrong_answer"), ascii(spelled)
        alice.app.__class__.objects.update(failures=0, paused_until=None)


def test_the_fifth_wrong_answer_ends_the_sign_in_and_pauses_the_device(api: Api, alice: Person) -> None:
    handle = api.start(alice)
    for _ in range(5):
        assert code_of(api.answer(handle, alice.app, alice.wrong_code())) == (401, "wrong_answer")
    assert code_of(api.answer(handle, alice.app, alice.code())) == (401, "sign_in_over")
    paused = api.answer(api.start(alice), alice.app, alice.code())
    assert code_of(paused) == (429, "too_many_attempts")
    assert 1 <= int(paused["Retry-After"]) <= 30
    listed = api.post("sign-ins", {"username": "alice", "password": alice.password}).json()["devices"]
    assert listed == [], "a paused device is not offered"


def test_during_a_pause_right_and_wrong_look_the_same_and_a_challenge_is_refused_too(api: Api, alice: Person) -> None:
    alice.app.__class__.objects.update(failures=5, paused_until=timezone.now() + timedelta(seconds=20))
    handle = api.start(alice)
    right, wrong = api.answer(handle, alice.app, alice.code()), api.answer(handle, alice.app, alice.wrong_code())
    assert code_of(right) == code_of(wrong) == (429, "too_many_attempts")
    assert code_of(api.post("sign-ins/challenge", {"sign_in": handle, "device": str(alice.app.uuid)}))[0] == 429


def test_an_assertion_needs_a_challenge_and_each_challenge_is_taken_once(api: Api, bob: Person) -> None:
    handle = api.start(bob)
    options = {"challenge": "AAAA"}
    assert code_of(api.answer(handle, bob.key, bob.soft_key.get(options))) == (409, "no_challenge")
    asked = api.challenge(handle, bob.key)
    wrong = bob.soft_key.get(options)
    assert code_of(api.answer(handle, bob.key, wrong)) == (401, "wrong_answer")
    assert code_of(api.answer(handle, bob.key, bob.soft_key.get(asked))) == (409, "no_challenge"), "taken before judging"
    assert api.answer(handle, bob.key, bob.soft_key.get(api.challenge(handle, bob.key))).status_code == 200


def test_another_persons_device_and_handle_open_nothing(api: Api, alice: Person, mallory: Person) -> None:
    handle = api.start(mallory)
    assert code_of(api.answer(handle, alice.app, alice.code())) == (404, "not_found")
    assert code_of(api.post("sign-ins/challenge", {"sign_in": handle, "device": str(alice.app.uuid)})) == (404, "not_found")
    assert code_of(api.answer("x" * 43, alice.app, alice.code())) == (401, "sign_in_over")


def test_a_changed_password_and_a_disabled_person_end_sign_ins_in_progress(api: Api, alice: Person, mallory: Person) -> None:
    first, second = api.start(alice), api.start(mallory)
    alice.user.set_password("another-long-password")
    alice.user.save()
    mallory.user.is_active = False
    mallory.user.save()
    assert code_of(api.answer(first, alice.app, alice.code())) == (401, "sign_in_over")
    assert code_of(api.answer(second, mallory.app, mallory.code())) == (401, "sign_in_over")


def test_a_paused_attempt_is_written_down_and_signed_in_says_where(api: Api, alice: Person) -> None:
    handle = api.start(alice)
    for _ in range(4):
        api.answer(handle, alice.app, alice.wrong_code())
    pair = api.answer(handle, alice.app, alice.code()).json()
    sid = jwt.decode(pair["access_token"], options={"verify_signature": False})["sid"]
    assert str(Event.objects.get(act="signed_in").sid) == sid
    other = api.start(alice)
    alice.app.__class__.objects.update(failures=5, paused_until=timezone.now() + timedelta(seconds=20))
    api.answer(other, alice.app, alice.code(1))
    assert Event.objects.latest("id").reason == "TOO_MANY_ATTEMPTS"


def test_refused_passwords_of_one_name_can_be_found_without_it(api: Api, alice: Person) -> None:
    for name in ("alice", "ALICE", "bob"):
        api.post("sign-ins", {"username": name, "password": "wrong"})
    names = [event.about["name"] for event in Event.objects.filter(act="password_refused").order_by("id")]
    assert names[0] == names[1] != names[2] and "alice" not in names[0]


def test_a_finished_a_cancelled_and_an_expired_sign_in_are_over(api: Api, alice: Person) -> None:
    finished = api.start(alice)
    assert api.answer(finished, alice.app, alice.code()).status_code == 200
    cancelled = api.start(alice)
    assert api.post("sign-ins/cancel", {"sign_in": cancelled}).status_code == 204
    expired = api.start(alice)
    SignIn.objects.order_by("-id")[:1].get().__class__.objects.filter(state="waiting").update(expires_at=timezone.now())
    for handle in (finished, cancelled, expired):
        assert code_of(api.answer(handle, alice.app, alice.code(1))) == (401, "sign_in_over")
        assert code_of(api.post("sign-ins/cancel", {"sign_in": handle})) == (401, "sign_in_over")
