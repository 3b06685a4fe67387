"""Access tokens, refresh families, signing keys: what is handed out, and everything that is not taken back."""

import base64
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from audit.models import Event
from devices.models import Device
from grants import access, signing
from grants.models import RefreshFamily, RefreshToken, SigningKey
from mfa_site import keyring
from tests.conftest import Api, Person, code_of

pytestmark = pytest.mark.django_db


def post_form(path: str, fields: dict[str, str]) -> Any:
    return Client().post(path, urlencode(fields), "application/x-www-form-urlencoded")


def refresh(token: str, **fields: str) -> Any:
    return post_form("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": token, **fields})


def test_a_refresh_token_is_worth_a_new_pair_of_the_same_family(api: Api, alice: Person) -> None:
    first = api.sign_in(alice)
    second = refresh(first["refresh_token"])
    assert second.status_code == 200 and second["Cache-Control"] == "no-store"
    pair = second.json()
    assert pair["refresh_token"] != first["refresh_token"]
    before, after = access.verify(first["access_token"], timezone.now()), access.verify(pair["access_token"], timezone.now())
    assert before and after
    assert before["sid"] == after["sid"] and before["auth_time"] == after["auth_time"] and before["jti"] != after["jti"]
    assert Api(pair["access_token"]).get("me").json()["username"] == "alice"


def test_a_spent_refresh_token_ends_its_family(api: Api, alice: Person) -> None:
    first = api.sign_in(alice)
    second = refresh(first["refresh_token"]).json()
    assert refresh(first["refresh_token"]).json() == {"error": "invalid_grant"}
    assert refresh(second["refresh_token"]).json() == {"error": "invalid_grant"}
    family = RefreshFamily.objects.get()
    assert family.ended_for == "reused"
    answer = Api(second["access_token"]).call("POST", "devices", {"kind": "totp"})
    assert code_of(answer) == (401, "not_signed_in"), "unsafe calls end with the family"


def test_another_client_cannot_use_a_token_and_the_family_lives(api: Api, alice: Person) -> None:
    token = api.sign_in(alice)["refresh_token"]
    assert refresh(token, client_id="other").status_code == 401
    assert refresh(token, client_id="mfa-site").status_code == 200


@pytest.mark.parametrize("what", ["idle", "old", "ended"])
def test_an_idle_an_old_and_an_ended_family_are_over(api: Api, alice: Person, what: str) -> None:
    token, now = api.sign_in(alice)["refresh_token"], timezone.now()
    columns = {"idle": {"idle_until": now}, "old": {"expires_at": now}, "ended": {"ended_at": now}}[what]
    RefreshFamily.objects.update(**columns)
    assert refresh(token).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize("what", ["person", "device"])
def test_a_disabled_person_and_a_suspended_device_get_no_new_pair_and_no_unsafe_call(
    api: Api, alice: Person, what: str
) -> None:
    pair = api.sign_in(alice)
    if what == "person":
        alice.user.is_active = False
        alice.user.save()
    else:
        Device.objects.update(state="suspended")
    assert refresh(pair["refresh_token"]).json() == {"error": "invalid_grant"}
    bearer = Api(pair["access_token"])
    assert code_of(bearer.call("POST", "devices", {"kind": "totp"})) == (401, "not_signed_in")
    assert not RefreshToken.objects.exclude(spent_at=None).exists(), "nothing was spent by the refusal"


def test_revoking_either_token_ends_the_family_and_an_unknown_one_is_fine_too(api: Api, alice: Person) -> None:
    pair = api.sign_in(alice)
    assert post_form("/oauth2/revoke", {"token": "unknown"}).status_code == 200
    assert post_form("/oauth2/revoke", {"token": pair["refresh_token"], "client_id": "other"}).status_code == 200
    assert refresh(pair["refresh_token"]).status_code == 200
    assert post_form("/oauth2/revoke", {"token": pair["access_token"], "client_id": "mfa-site"}).status_code == 200
    family = RefreshFamily.objects.get()
    assert family.ended_for == "revoked"
    assert Event.objects.filter(act="refresh_family_revoked", person=alice.user.uuid, sid=family.uuid).count() == 1


def test_administrators_families_are_shorter(api: Api, person: Any) -> None:
    pair = api.sign_in(person("totp", is_staff=True))
    family = RefreshFamily.objects.get()
    assert family.expires_at - family.created_at == timedelta(hours=12)
    assert pair["refresh_expires_in"] == 8 * 3600


def test_refresh_tokens_and_handles_are_stored_as_hashes_only(api: Api, alice: Person) -> None:
    token = api.sign_in(alice)["refresh_token"]
    assert token.startswith("mfr_") and len(token) >= 47
    row = RefreshToken.objects.get()
    assert row.token_hash == keyring.token_hash(token) and token not in row.token_hash


# ---- access tokens ---------------------------------------------------------------------------------------------------


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    header, claims, signature = token.split(".")
    return unpack(header), unpack(claims), signature


def unpack(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def pack(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: dict[str, Any], key: Any = None) -> str:
    """The claims under this header, truly signed with the service's own key."""
    ours: Any = key or signing.keys().current.private_key
    return jwt.encode(claims, ours, algorithm=header.get("alg", "ES256"), headers=header)


def test_a_token_of_ours_is_taken_only_as_it_was_made(api: Api, alice: Person) -> None:
    header, claims, signature = parts(api.sign_in(alice)["access_token"])
    now = timezone.now()
    assert access.verify(signed(header, claims), now)
    wrong_headers: list[dict[str, Any]] = [
        {"typ": "JWT"},
        {"typ": None},
        {"kid": "other"},
        {"kid": None},
        {"jwk": {"kty": "EC"}},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/x"},
        {"crit": ["exp"]},
        {"cty": "JWT"},
    ]
    for change in wrong_headers:
        changed = {name: value for name, value in {**header, **change}.items() if value is not None}
        assert access.verify(signed(changed, claims), now) is None, change
    for change in (
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": [claims["aud"]]},
        {"client_id": "other"},
        {"exp": claims["iat"] - 1},
        {"exp": str(claims["exp"])},
        {"exp": None},
        {"iat": claims["iat"] + 600},
        {"auth_time": None},
    ):
        changed = {name: value for name, value in {**claims, **change}.items() if value is not None}
        assert access.verify(signed(header, changed), now) is None, change
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert access.verify(signed(header, claims, stranger), now) is None
    unsigned = f"{pack({**header, 'alg': 'none'})}.{pack(claims)}."
    for token in (
        unsigned,
        f"{pack(header)}.{pack(claims)}.{signature}",
        f"{pack({**header, 'alg': 'HS256'})}.{pack(claims)}.{'A' * 43}",
    ):
        assert access.verify(token, now) is None


def test_a_token_ends_after_five_minutes(api: Api, alice: Person) -> None:
    token = api.sign_in(alice)["access_token"]
    assert access.verify(token, timezone.now() + timedelta(seconds=298))
    assert access.verify(token, timezone.now() + timedelta(seconds=301)) is None


def test_the_token_is_small(api: Api, alice: Person) -> None:
    token = api.sign_in(alice)["access_token"]
    assert len(f"Authorization: Bearer {token}") <= 900
    assert len(token.split(".")[0]) <= 120


def test_a_sign_in_handle_and_a_refresh_token_are_no_access_token(api: Api, alice: Person) -> None:
    handle, pair = api.start(alice), api.sign_in(alice)
    for token in (handle, pair["refresh_token"]):
        assert code_of(Api(token).get("me")) == (401, "not_signed_in")
    assert refresh(pair["access_token"]).json() == {"error": "invalid_grant"}


def test_with_a_bearer_cookies_are_ignored(alice: Person, mallory: Person) -> None:
    browser = Api()
    browser.take_csrf()
    browser.sign_in(alice, grant="session")
    browser.bearer = Api().sign_in(mallory)["access_token"]
    assert browser.get("me").json()["username"] == "mallory"
    browser.bearer = "nonsense"
    assert code_of(browser.get("me")) == (401, "not_signed_in")


# ---- signing keys ----------------------------------------------------------------------------------------------------


def test_the_private_key_is_sealed_and_never_published(client: Client) -> None:
    published = client.get("/.well-known/jwks.json")
    assert published["Cache-Control"] == "public, max-age=600"
    assert set(published.json()["keys"][0]) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    row = SigningKey.objects.get()
    assert row.private.startswith("v1.")
    private = keyring.unseal(row.private, "grants_signingkey", "private", row.uuid)
    assert json.loads(private)["d"] not in published.content.decode()


def published() -> set[str]:
    return {key["kid"] for key in Client().get("/.well-known/jwks.json").json()["keys"]}


def at(moment: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's clock shows this, and the process has read the keys then."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
    signing.forget()


def test_a_new_signing_key_is_published_before_it_signs_and_the_old_one_verifies_until_its_tokens_are_over(
    api: Api, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, old = timezone.now(), signing.keys().current.kid
    pair = api.sign_in(alice)
    call_command("rotate_signing_keys")
    signing.forget()
    (new,) = published() - {old}
    assert published() == {old, new}, "published at once"
    assert signing.keys().current.kid == old, "caches may keep the set without it for ten minutes"
    at(now + timedelta(minutes=10, seconds=50), monkeypatch)
    assert signing.keys().current.kid == old
    last = refresh(pair["refresh_token"]).json()
    at(now + timedelta(minutes=11, seconds=5), monkeypatch)
    assert signing.keys().current.kid == new
    assert published() == {old, new}
    assert Api(last["access_token"]).get("me").status_code == 200, "what the old one signed counts until it ends"
    assert Api(refresh(last["refresh_token"]).json()["access_token"]).get("me").status_code == 200
    at(now + timedelta(minutes=17), monkeypatch)
    assert old in published(), "a process that read the keys a minute before the change signed with the old one until then"
    at(now + timedelta(minutes=18, seconds=5), monkeypatch)
    assert published() == {new}
    call_command("rotate_signing_keys")
    assert SigningKey.objects.get(kid=old).private == "", "nobody needs it any more"


def test_rotations_in_a_row_leave_no_moment_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    for _ in range(3):
        call_command("rotate_signing_keys")
    for minute in range(30):
        at(now + timedelta(minutes=minute, seconds=30), monkeypatch)
        assert signing.keys().current.kid in published(), minute
    assert len(published()) == 1


def test_a_signing_key_that_leaked_is_out_at_once(api: Api, alice: Person, capsys: pytest.CaptureFixture[str]) -> None:
    pair = api.sign_in(alice)
    call_command("rotate_signing_keys", at_once=True, json=True)
    told = json.loads(capsys.readouterr().out)
    signing.forget()
    assert published() == {told["kid"]} and signing.keys().current.kid == told["kid"]
    assert code_of(Api(pair["access_token"]).get("me")) == (401, "not_signed_in")
    assert refresh(pair["refresh_token"]).status_code == 200, "the family lives"
    assert SigningKey.objects.exclude(kid=told["kid"]).get().private == ""


def test_no_request_makes_a_signing_key(api: Api, alice: Person) -> None:
    SigningKey.objects.all().delete()
    signing.forget()
    assert Client().get("/.well-known/jwks.json").status_code == 503
    assert code_of(api.answer(api.start(alice), alice.app, alice.code())) == (503, "unavailable")
    assert not SigningKey.objects.exists()
    assert Device.objects.get().counter == -1, "nothing was spent"
    signing.make_first()
    signing.make_first()
    assert SigningKey.objects.count() == 1
    api.sign_in(alice)


def test_an_unknown_kid_reads_the_keys_again_but_not_for_every_guess(
    api: Api, alice: Person, django_assert_num_queries: Any
) -> None:
    header, claims, _ = parts(api.sign_in(alice)["access_token"])
    forged = f"{pack({**header, 'kid': 'other'})}.{pack(claims)}.{'A' * 86}"
    with django_assert_num_queries(0):
        for _ in range(20):
            assert access.verify(forged, timezone.now()) is None


def test_the_metadata_names_what_exists(client: Client) -> None:
    told = client.get("/.well-known/oauth-authorization-server").json()
    for name in ("token_endpoint", "revocation_endpoint", "jwks_uri"):
        path = told[name].removeprefix(told["issuer"])
        assert client.get(path).status_code in (200, 405)
