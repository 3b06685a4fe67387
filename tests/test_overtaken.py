"""A request that read a row before another one changed it: the database decides, and what it did is undone."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import enrolment, policy, signin, step_up
from accounts.api import sign_ins
from accounts.models import BrowserSession, SignIn, User
from accounts.sessions import SessionStore
from devices.kinds import totp
from devices.models import Device
from grants.models import RefreshFamily, RefreshToken
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import RequestProof
from tests.conftest import Api, Person

pytestmark = pytest.mark.django_db

CALLER = Client("127.0.0.1", "test", "request-1")


def reason_of(call: Callable[[], Any]) -> Reason:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.reason


def nothing(passed: signin.Passed) -> None:
    """A grant that must not be made."""
    raise AssertionError("granted")


def read(api: Api, person: Person) -> tuple[str, SignIn]:
    """A handle and its sign-in as a request sees it."""
    handle = api.start(person)
    return handle, signin.by_handle(handle, None, timezone.now())


def test_an_answer_to_a_sign_in_that_just_finished_spends_nothing(api: Api, alice: Person) -> None:
    handle, stale = read(api, alice)
    assert api.answer(handle, alice.app, alice.code()).status_code == 200
    now = timezone.now()
    late = alice.code(1)
    assert reason_of(lambda: signin.answer(stale, alice.app.uuid, late, nothing, CALLER, now)) is Reason.SIGN_IN_OVER
    row = Device.objects.get()
    assert row.counter == int(now.timestamp()) // 30 and row.failures == 0
    assert api.answer(api.start(alice), alice.app, late).status_code == 200


@pytest.mark.parametrize("change", ["password", "disabled"])
def test_a_person_who_changed_while_answering_is_not_let_in(api: Api, alice: Person, change: str) -> None:
    _, stale = read(api, alice)
    if change == "password":
        alice.user.set_password("another-long-password")
    else:
        alice.user.is_active = False
    alice.user.save()
    now, code = timezone.now(), alice.code()
    assert reason_of(lambda: signin.answer(stale, alice.app.uuid, code, nothing, CALLER, now)) is Reason.SIGN_IN_OVER
    row = Device.objects.get()
    assert row.counter == -1 and row.failures == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.parametrize("answered_first", [True, False])
def test_a_password_changed_while_a_sign_in_commits_leaves_nothing_open(alice: Person, answered_first: bool) -> None:
    """Two transactions, each open while the other comes: whichever is first, nothing opened with the old password stays."""
    _, stale = read(Api(), alice)
    now, code, met = timezone.now(), alice.code(), threading.Event()

    def grant(passed: signin.Passed) -> None:
        sign_ins.pair_for(passed, CALLER, now)
        if answered_first:
            met.set()
            time.sleep(0.3)

    def answer() -> object:
        try:
            return signin.answer(stale, alice.app.uuid, code, grant, CALLER, now)
        except Refused as refused:
            return refused.reason
        finally:
            connection.close()

    def change() -> None:
        with transaction.atomic():
            alice.user.set_password("another-long-password")
            alice.user.save()
            if not answered_first:
                met.set()
                time.sleep(0.3)
            policy.end_everything(alice.user, "password_changed", now)
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(answer if answered_first else change)
        assert met.wait(5)
        second = pool.submit(change if answered_first else answer)
        outcomes = [first.result(10), second.result(10)]
    assert (Reason.SIGN_IN_OVER in outcomes) is not answered_first
    assert not RefreshFamily.objects.filter(ended_at=None).exists()


@pytest.mark.parametrize("by", ["session", "bearer"])
def test_a_step_up_of_a_session_that_just_ended_spends_nothing(api: Api, alice: Person, rf: Any, by: str) -> None:
    """The session or family ended after the request was let in: by the device, by an administrator, by signing out."""
    api.take_csrf()
    api.sign_in(alice, grant="session" if by == "session" else "token")
    row: Any = BrowserSession.objects.filter(person=alice.user).first() or RefreshFamily.objects.get()
    proof = RequestProof(alice.user.uuid, row.uuid, tuple(row.amr), row.acr, row.auth_time, "session")
    _, handle = step_up.begin(alice.user, proof, CALLER, timezone.now())
    stale, request = signin.by_handle(handle, row.uuid, timezone.now()), rf.get("/")
    request.proof, request.session = proof, SessionStore("x" if by == "bearer" else api.client.cookies["session"].value)
    assert (request.session.row is None) is (by == "bearer")
    type(row).objects.update(ended_at=timezone.now())
    now, code = timezone.now(), alice.code(1)

    def grant(passed: signin.Passed) -> object:
        return sign_ins.renewed_session(request, passed, now) if by == "session" else sign_ins.renewed_pair(passed, now)

    assert reason_of(lambda: signin.answer(stale, alice.app.uuid, code, grant, CALLER, now)) is Reason.SIGN_IN_OVER
    device = Device.objects.get()
    assert device.counter < int(now.timestamp()) // 30 + 1 and device.failures == 0
    assert SignIn.objects.get(purpose="step_up").state == "waiting" and request.session.new_value is None
    assert RefreshToken.objects.exclude(spent_at=None).count() == 0


def test_choosing_in_a_sign_in_that_is_over_keeps_no_challenge(api: Api, bob: Person) -> None:
    handle, stale = read(api, bob)
    api.post("sign-ins/cancel", {"sign_in": handle})
    assert reason_of(lambda: signin.choose(stale, bob.key.uuid, timezone.now())) is Reason.SIGN_IN_OVER
    assert SignIn.objects.get().kept == ""


def test_an_enrolling_sign_in_chooses_no_device(api: Api, nora: Person, alice: Person) -> None:
    _, enrolling = read(api, nora)
    assert reason_of(lambda: signin.choose(enrolling, alice.app.uuid, timezone.now())) is Reason.WRONG_STATE


def test_an_enrolment_in_a_sign_in_that_is_over_leaves_no_device(api: Api, nora: Person) -> None:
    handle, stale = read(api, nora)
    api.post("sign-ins/cancel", {"sign_in": handle})
    now = timezone.now()
    assert reason_of(lambda: enrolment.begin_first(stale, "totp", {}, CALLER, now)) is Reason.SIGN_IN_OVER
    assert not Device.objects.exists()


def signed_in(api: Api, person: Person, grant: str) -> Any:
    """The session or family of the person, now signed in by this client."""
    api.take_csrf()
    api.sign_in(person, grant=grant)
    return BrowserSession.objects.get(person=person.user) if grant == "session" else RefreshFamily.objects.get()


@pytest.mark.parametrize("how", ["ended", "too old", "its device lost"])
@pytest.mark.parametrize("grant", ["session", "token"])
def test_an_enrolment_whose_session_just_ended_is_not_confirmed(api: Api, alice: Person, grant: str, how: str) -> None:
    row, now = signed_in(api, alice, grant), timezone.now()
    begun = enrolment.begin(alice.user, "totp", {}, row.uuid, CALLER, now)
    before = {"ended_at": row.ended_at, "expires_at": row.expires_at}
    if how == "its device lost":
        Device.objects.filter(pk=alice.app.pk).update(state="lost")
    else:
        type(row).objects.update(**{"ended_at" if how == "ended" else "expires_at": now})
    code = totp.code_now(begun.device, now)
    assert reason_of(lambda: enrolment.confirm(begun.sign_in, code, CALLER, now)) is Reason.NOT_SIGNED_IN
    device = Device.objects.get(pk=begun.device.pk)
    assert (device.state, device.failures) == ("assigned", 0), "the activation was undone, and nothing counted"
    assert SignIn.objects.get(pk=begun.sign_in.pk).state == "waiting"
    type(row).objects.update(**before)
    Device.objects.filter(pk=alice.app.pk).update(state="active")
    assert enrolment.confirm(begun.sign_in, code, CALLER, now).state == "active"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.parametrize("grant", ["session", "token"])
@pytest.mark.parametrize("change", ["ended", "password"])
@pytest.mark.parametrize("confirmed_first", [True, False])
def test_a_session_that_ends_while_its_enrolment_commits(
    alice: Person, monkeypatch: pytest.MonkeyPatch, grant: str, change: str, confirmed_first: bool
) -> None:
    """Two transactions, each open while the other comes: the later one waits, and neither deadlocks."""
    row, now, met = signed_in(Api(), alice, grant), timezone.now(), threading.Event()
    begun = enrolment.begin(alice.user, "totp", {}, row.uuid, CALLER, now)
    code, stands, times = totp.code_now(begun.device, now), policy.stands, {}

    def slowly(*arguments: Any) -> bool:
        found = stands(*arguments)
        if confirmed_first:
            met.set()
            time.sleep(0.3)
        return found

    monkeypatch.setattr(policy, "stands", slowly)

    def confirm() -> object:
        try:
            return enrolment.confirm(begun.sign_in, code, CALLER, now).state
        except Refused as refused:
            return refused.reason
        finally:
            times["confirmed"] = time.monotonic()
            connection.close()

    def end() -> None:
        with transaction.atomic():
            if change == "password":
                person = User.objects.get(pk=alice.user.pk)
                person.set_password("another-long-password")
                person.save()
            policy.end_everything(alice.user, "ended", now)
            times["ended"] = time.monotonic()
            if not confirmed_first:
                met.set()
                time.sleep(0.3)
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(confirm if confirmed_first else end)
        assert met.wait(5)
        second = pool.submit(end if confirmed_first else confirm)
        outcomes = [first.result(10), second.result(10)]
    assert outcomes[0 if confirmed_first else 1] == ("active" if confirmed_first else Reason.NOT_SIGNED_IN)
    if confirmed_first:
        assert times["ended"] - times["confirmed"] > -0.1, "it waited for the confirmation"


def test_an_enrolment_that_is_over_is_not_shown_again_nor_confirmed(alice: Person) -> None:
    now = timezone.now()
    begun = enrolment.begin(alice.user, "totp", {}, signed_in(Api(), alice, "token").uuid, CALLER, now)
    SignIn.objects.filter(pk=begun.sign_in.pk).update(state="finished")
    assert reason_of(lambda: enrolment.show_again(begun.sign_in, now)) is Reason.SIGN_IN_OVER
    code = totp.code_now(begun.device, now)
    assert reason_of(lambda: enrolment.confirm(begun.sign_in, code, CALLER, now)) is Reason.SIGN_IN_OVER
    assert Device.objects.get(pk=begun.device.pk).state == "assigned", "the activation was undone"
    begun.device.delete()
    SignIn.objects.update(state="waiting")
    assert reason_of(lambda: enrolment.show_again(begun.sign_in, now)) is Reason.SIGN_IN_OVER
