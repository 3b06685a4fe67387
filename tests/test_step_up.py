"""Step-up over the API: the same proof anew, for the session or bearer that asked for it and for nobody else."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.urls import get_resolver
from django.utils import timezone

from accounts import demo
from accounts.models import BrowserSession, SignIn
from accounts.sessions import SessionStore
from audit.models import Event
from devices.models import Device, Kind
from grants.models import RefreshFamily, RefreshToken
from mfa_site.errors import Refused
from mfa_site.proof import ACR, check
from tests.conftest import Api, Person, code_of
from tests.test_grants import refresh
from tests.test_strangers import routes

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(seconds=301)


def forget_used_codes() -> None:
    """As if time had passed: the code of this moment can be used again."""
    Device.objects.filter(kind="totp").update(counter=-1)


def by_session(person: Person) -> Api:
    """The person's browser application, signed in five minutes ago."""
    forget_used_codes()
    api = Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    BrowserSession.objects.filter(person=person.user).update(auth_time=timezone.now() - LONG_AGO)
    return api


def by_bearer(person: Person) -> Api:
    """The person's program, signed in five minutes ago; `.refresh_token` is its current one."""
    forget_used_codes()
    pair = Api().sign_in(person)
    RefreshFamily.objects.filter(person=person.user.uuid).update(auth_time=timezone.now() - LONG_AGO)
    pair = refresh(pair["refresh_token"]).json()
    api = Api(pair["access_token"])
    api.refresh_token = pair["refresh_token"]  # type: ignore[attr-defined]
    return api


WAYS = pytest.mark.parametrize("signed_in", [by_session, by_bearer])
SignedIn = Callable[[Person], Api]


def begin(api: Api) -> str:
    """The handle of a step-up."""
    answer = api.post("step-ups")
    assert answer.status_code == 201, answer.content
    return str(answer.json()["sign_in"])


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


# ---- what it is worth ------------------------------------------------------------------------------------------------


@WAYS
def test_it_begins_as_a_sign_in_does(alice: Person, signed_in: SignedIn) -> None:
    begun = signed_in(alice).post("step-ups").json()
    assert begun["state"] == "waiting" and 290 < begun["expires_in"] <= 300 and len(begun["sign_in"]) >= 43
    assert [sorted(device) for device in begun["devices"]] == [["kind", "name", "sent_to", "transports", "usable", "uuid"]]


def test_a_session_is_rotated_and_stays_the_same_session(alice: Person) -> None:
    api = by_session(alice)
    before = BrowserSession.objects.get(person=alice.user)
    BrowserSession.objects.update(data={"kept": "as it was"})
    old = api.client.cookies["session"].value
    assert code_of(api.post("devices", {"kind": "totp"})) == (401, "step_up_needed")

    answer = api.answer(begin(api), alice.app, alice.code(1))
    assert answer.status_code == 200
    assert answer.json()["me"]["username"] == "alice" and 0 < answer.json()["expires_in"] <= 12 * 3600
    after = BrowserSession.objects.get(person=alice.user)
    assert (after.uuid, after.expires_at, after.data) == (before.uuid, before.expires_at, {"kept": "as it was"})
    assert after.auth_time and timezone.now() - after.auth_time < timedelta(seconds=5)
    assert api.post("devices", {"kind": "totp"}).status_code == 201
    assert api.client.cookies["session"].value != old

    late = Api()
    late.client.cookies["session"] = old
    answer = late.get("me")
    assert answer.status_code == 401, "the old value is dead at once"
    assert "session" not in answer.cookies, "but what was on its way with it does not take the new one away"


def test_values_from_before_a_renewal_are_dead_too(alice: Person) -> None:
    api = by_session(alice)
    first = api.client.cookies["session"].value
    BrowserSession.objects.update(renewed_at=timezone.now() - timedelta(minutes=16))
    handle = begin(api)
    second = api.client.cookies["session"].value
    assert api.answer(handle, alice.app, alice.code(1)).status_code == 200
    assert len({first, second, api.client.cookies["session"].value}) == 3
    for value in (first, second):
        late = Api()
        late.client.cookies["session"] = value
        assert late.get("me").status_code == 401
    assert api.get("me").status_code == 200


def test_a_step_up_in_the_very_request_that_renews(alice: Person) -> None:
    api = by_session(alice)
    handle = begin(api)
    old = api.client.cookies["session"].value
    BrowserSession.objects.update(renewed_at=timezone.now() - timedelta(minutes=16))
    assert api.answer(handle, alice.app, alice.code(1)).status_code == 200
    assert api.get("me").status_code == 200
    late = Api()
    late.client.cookies["session"] = old
    answer = late.get("me")
    assert answer.status_code == 401 and "session" not in answer.cookies


@pytest.mark.parametrize("moment", ["before it is answered", "while it is answered"])
def test_a_page_that_renews_beside_a_step_up_does_not_sign_the_browser_out(
    alice: Person, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The page's answer has a value that the step-up has killed: what comes with it takes no newer cookie away."""
    api, page = by_session(alice), Api()
    handle, old = begin(api), api.client.cookies["session"].value
    page.client.cookies["session"] = old

    def renew() -> None:
        BrowserSession.objects.update(renewed_at=timezone.now() - timedelta(minutes=16))
        assert page.get("me").status_code == 200

    rotate = SessionStore.rotate

    def renewed_meanwhile(*arguments: Any, **proven: Any) -> BrowserSession:
        renew()
        return rotate(*arguments, **proven)

    if moment == "while it is answered":
        monkeypatch.setattr(SessionStore, "rotate", renewed_meanwhile)
    else:
        renew()
    assert api.answer(handle, alice.app, alice.code(1)).status_code == 200
    assert len({old, page.client.cookies["session"].value, api.client.cookies["session"].value}) == 3
    answer = page.get("me")
    assert answer.status_code == 401, "dead at once"
    assert "session" not in answer.cookies, "but what was on its way with it does not take the new one away"
    assert api.get("me").status_code == 200


def test_a_bearer_gets_a_new_pair_of_the_same_family_and_the_old_token_is_dead(alice: Person) -> None:
    api = by_bearer(alice)
    ends = RefreshFamily.objects.get().expires_at
    assert code_of(api.post("devices", {"kind": "totp"})) == (401, "step_up_needed")
    pair = api.answer(begin(api), alice.app, alice.code(1)).json()
    old, new = claims(api.bearer), claims(pair["access_token"])
    assert new["sid"] == old["sid"] and new["auth_time"] - old["auth_time"] >= 300
    assert RefreshFamily.objects.get().expires_at == ends
    assert Api(pair["access_token"]).post("devices", {"kind": "totp"}).status_code == 201
    again = refresh(pair["refresh_token"]).json()
    assert claims(again["access_token"])["auth_time"] == new["auth_time"]
    assert refresh(api.refresh_token).json() == {"error": "invalid_grant"}  # type: ignore[attr-defined]
    assert RefreshFamily.objects.get().ended_for == "reused"
    assert refresh(again["refresh_token"]).json() == {"error": "invalid_grant"}


@WAYS
def test_with_another_device_it_says_what_was_proven_now(person: Any, signed_in: SignedIn) -> None:
    owner = person("totp", "fido2")
    api = signed_in(owner)
    handle = begin(api)
    stronger = api.answer(handle, owner.key, owner.soft_key.get(api.challenge(handle, owner.key))).json()
    me = stronger.get("me") or claims(stronger["access_token"])
    assert (me["amr"], me["acr"]) == (["pwd", "hwk", "mfa"], "phr")
    row = BrowserSession.objects.filter(person=owner.user).first() or RefreshFamily.objects.get()
    assert row.device in (owner.key, owner.key.uuid)
    if "access_token" in stronger:
        api = Api(stronger["access_token"])
    weaker = api.answer(begin(api), owner.app, owner.code(1)).json()
    me = weaker.get("me") or claims(weaker["access_token"])
    assert (me["amr"], me["acr"]) == (["pwd", "otp", "swk", "mfa"], "aal2"), "what was proven once is not proven now"


@WAYS
def test_the_events_tell_the_story(alice: Person, signed_in: SignedIn) -> None:
    api = signed_in(alice)
    handle = begin(api)
    api.answer(handle, alice.app, alice.wrong_code())
    api.answer(handle, alice.app, alice.code(1))
    events = list(Event.objects.order_by("-id")[:3])
    assert [event.act for event in events] == ["stepped_up", "answer_refused", "step_up_begun"]
    sid = (BrowserSession.objects.filter(person=alice.user).first() or RefreshFamily.objects.get()).uuid
    assert events[0].sid == events[2].sid == sid and events[0].device == alice.app.uuid


# ---- whose it is -----------------------------------------------------------------------------------------------------


@WAYS
def test_nobody_else_answers_chooses_or_cancels_it(alice: Person, mallory: Person, signed_in: SignedIn) -> None:
    handle = begin(signed_in(alice))
    body = {"sign_in": handle, "device": str(alice.app.uuid)}
    for other in (Api(), by_session(mallory), by_bearer(mallory), by_session(alice)):
        forget_used_codes()
        calls = [("challenge", body), ("answer", {**body, "answer": alice.code()}), ("cancel", {"sign_in": handle})]
        for call, given in calls:
            assert code_of(other.post(f"sign-ins/{call}", given)) == (401, "sign_in_over"), call
    assert SignIn.objects.get(purpose="step_up").state == "waiting"
    alice.app.refresh_from_db()
    assert alice.app.failures == 0 and not Event.objects.filter(act="stepped_up").exists()


def test_another_session_and_a_bearer_of_the_same_person_cannot_answer_it(alice: Person) -> None:
    first = by_session(alice)
    handle = begin(first)
    for sign_in_elsewhere in (by_session, by_bearer):
        other = sign_in_elsewhere(alice)
        forget_used_codes()
        assert code_of(other.answer(handle, alice.app, alice.code())) == (401, "sign_in_over")
    assert first.answer(handle, alice.app, alice.code()).status_code == 200


@WAYS
def test_another_persons_device_is_not_found(alice: Person, mallory: Person, signed_in: SignedIn) -> None:
    api = signed_in(alice)
    assert code_of(api.answer(begin(api), mallory.app, mallory.code())) == (404, "not_found")


def test_a_stranger_begins_none(api: Api, alice: Person) -> None:
    assert code_of(api.post("step-ups")) == (401, "not_signed_in")
    half = Api(api.start(alice))
    assert code_of(half.post("step-ups")) == (401, "not_signed_in")
    assert not SignIn.objects.filter(purpose="step_up").exists()


def test_with_the_cookie_it_needs_the_csrf_header(alice: Person) -> None:
    api = by_session(alice)
    handle, token = begin(api), api.csrf
    api.csrf = ""
    assert code_of(api.post("step-ups")) == (403, "csrf_failed")
    assert code_of(api.answer(handle, alice.app, alice.code(1))) == (403, "csrf_failed")
    api.csrf = token
    assert api.answer(handle, alice.app, alice.code(1)).status_code == 200, "a refusal by 403 spends nothing"


@WAYS
def test_it_renews_what_began_it_and_grants_nothing_else(alice: Person, signed_in: SignedIn) -> None:
    api = signed_in(alice)
    handle = begin(api)
    own, other = ("token", "session") if api.bearer else ("session", "token")
    assert code_of(api.answer(handle, alice.app, alice.code(1), grant=other)) == (409, "wrong_state")
    assert code_of(api.answer(handle, alice.app, alice.code(1), grant="both")) == (400, "malformed")
    assert api.answer(handle, alice.app, alice.code(1), grant=own).status_code == 200, "nothing was spent"
    begin_first = api.post("sign-ins/enrol", {"sign_in": begin(api), "kind": "totp"})
    assert code_of(begin_first) == (409, "wrong_state")


# ---- what comes between ----------------------------------------------------------------------------------------------


def disabled(person: Person) -> None:
    person.user.is_active = False
    person.user.save()


def new_password(person: Person) -> None:
    person.user.set_password("another-long-password")
    person.user.save()


def ended(person: Person) -> None:
    BrowserSession.objects.update(ended_at=timezone.now())
    RefreshFamily.objects.update(ended_at=timezone.now())


def lost(person: Person) -> None:
    Device.objects.filter(user=person.user).update(state="lost")


def expired(person: Person) -> None:
    SignIn.objects.update(expires_at=timezone.now())


@WAYS
@pytest.mark.parametrize("change", [disabled, new_password, ended, lost, expired])
def test_what_changed_meanwhile_refuses_it(alice: Person, signed_in: SignedIn, change: Callable[[Person], None]) -> None:
    api = signed_in(alice)
    handle = begin(api)
    change(alice)
    assert code_of(api.answer(handle, alice.app, alice.code(1))) == (401, "sign_in_over")
    assert not Event.objects.filter(act="stepped_up").exists()


@WAYS
def test_a_lost_device_does_not_answer(person: Any, signed_in: SignedIn) -> None:
    owner = person("totp", "fido2")
    api = signed_in(owner)
    handle = begin(api)
    options = api.challenge(handle, owner.key)
    Device.objects.filter(pk=owner.key.pk).update(state="lost")
    assert code_of(api.answer(handle, owner.key, owner.soft_key.get(options))) == (409, "device_not_usable")
    assert [row["uuid"] for row in api.post("step-ups").json()["devices"]] == [str(owner.app.uuid)]


@WAYS
def test_cancelled_it_is_over(alice: Person, signed_in: SignedIn) -> None:
    api = signed_in(alice)
    handle = begin(api)
    assert api.post("sign-ins/cancel", {"sign_in": handle}).status_code == 204
    assert code_of(api.answer(handle, alice.app, alice.code(1))) == (401, "sign_in_over")
    assert api.get("me").status_code == 200, "the session goes on"


@WAYS
def test_finished_it_is_over(alice: Person, signed_in: SignedIn) -> None:
    api = signed_in(alice)
    handle = begin(api)
    pair = api.answer(handle, alice.app, alice.code(1)).json()
    if api.bearer:
        api = Api(pair["access_token"])
    forget_used_codes()
    assert code_of(api.answer(handle, alice.app, alice.code(1))) == (401, "sign_in_over")


# ---- guesses ---------------------------------------------------------------------------------------------------------


@WAYS
def test_beginning_anew_gives_no_more_guesses(alice: Person, signed_in: SignedIn) -> None:
    api = signed_in(alice)
    answers = [code_of(api.answer(begin(api), alice.app, alice.wrong_code())) for _ in range(8)]
    assert answers == [(401, "wrong_answer")] * 5 + [(429, "too_many_attempts")] * 3
    assert code_of(api.answer(begin(api), alice.app, alice.code(1))) == (429, "too_many_attempts")
    assert api.post("step-ups").json()["devices"] == []
    elsewhere = Api()
    assert code_of(elsewhere.answer(elsewhere.start(alice), alice.app, alice.code(1))) == (429, "too_many_attempts")


@WAYS
def test_the_fifth_wrong_answer_ends_it_and_the_session_goes_on(alice: Person, signed_in: SignedIn) -> None:
    api = signed_in(alice)
    handle = begin(api)
    for _ in range(5):
        assert code_of(api.answer(handle, alice.app, alice.wrong_code())) == (401, "wrong_answer")
    assert code_of(api.answer(handle, alice.app, alice.code(1))) == (401, "sign_in_over")
    assert api.get("me").status_code == 200


# ---- what asks for it ------------------------------------------------------------------------------------------------


@WAYS
def test_a_stale_proof_is_told_what_is_missing(alice: Person, signed_in: SignedIn) -> None:
    answer = signed_in(alice).post("devices", {"kind": "totp"})
    assert code_of(answer) == (401, "step_up_needed")
    assert answer["WWW-Authenticate"] == (
        'Bearer error="insufficient_user_authentication", acr_values="aal2 phr phrh", max_age=300'
    )


def test_every_change_of_devices_and_codes_asks_for_it(alice: Person) -> None:
    api, asked = by_session(alice), []
    other, _clear = demo.new_device(alice.user, Kind.TOTP, timezone.now())
    other.save(force_insert=True)
    for route in routes(get_resolver().url_patterns):
        if route.endswith("/resync"):
            continue  # two codes of the device are proof enough
        if route.startswith(("api/v1/devices", "api/v1/recovery-codes")):
            path = route.removeprefix("api/v1/").replace("<uuid:uuid>", str(alice.app.uuid))
            allowed = api.client.generic("PROBE", f"/api/v1/{path}", headers={"X-CSRFToken": api.csrf})["Allow"].split(", ")
            for method in {"POST", "PATCH", "PUT", "DELETE"} & set(allowed):
                assert code_of(api.call(method, path, {})) == (401, "step_up_needed"), (method, path)
                asked.append(method)
    assert len(asked) >= 5


@pytest.mark.parametrize("proven", ACR)
@pytest.mark.parametrize("needed", ACR)
def test_a_proof_is_strong_enough_or_not(rf: Any, alice: Person, needed: str, proven: str) -> None:
    from mfa_site.proof import RequestProof

    request = rf.get("/")
    request.proof = RequestProof(alice.user.uuid, alice.user.uuid, (), proven, timezone.now(), "session")
    if ACR.index(proven) >= ACR.index(needed):
        assert check(request, acr=needed) is request.proof
    else:
        with pytest.raises(Refused) as refused:
            check(request, acr=needed)
        assert refused.value.facts == {"acr": needed, "max_age": None}


def test_a_refresh_spends_nothing_after_it(alice: Person) -> None:
    api = by_bearer(alice)
    api.answer(begin(api), alice.app, alice.code(1))
    assert RefreshToken.objects.filter(spent_at=None).count() == 1, "one living token a family"
