"""When something is away, the service refuses, counts nothing twice, leaves nothing half-done, and comes back alone."""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import SignIn
from audit.events import is_genuine
from audit.models import Event
from devices.models import Device
from grants import signing
from mfa_site import keyring
from tests.conftest import Api, Person, code_of

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def database_away(after: int = 0) -> Iterator[None]:
    """From the statement with this number on, the connection fails as it does when the server is gone."""
    seen = 0

    def fail(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen > after:
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


@pytest.mark.parametrize("call", ["sign-ins", "sign-ins/answer", "sign-ins/challenge", "sign-ins/enrol", "sign-ins/cancel"])
def test_without_a_database_every_call_is_unavailable(api: Api, alice: Person, call: str) -> None:
    handle = api.start(alice)
    bodies = {
        "sign-ins": {"username": "alice", "password": alice.password},
        "sign-ins/answer": {"sign_in": handle, "device": str(alice.app.uuid), "answer": alice.code()},
        "sign-ins/challenge": {"sign_in": handle, "device": str(alice.app.uuid)},
        "sign-ins/enrol": {"sign_in": handle, "kind": "totp"},
        "sign-ins/cancel": {"sign_in": handle},
    }
    with database_away():
        answer = api.post(call, bodies[call])
    assert code_of(answer) == (503, "unavailable")
    assert answer["Retry-After"]


def test_without_a_database_pages_say_so_and_the_probe_fails(alice: Person) -> None:
    client = Client()
    client.cookies["session"] = "x" * 43
    with database_away():
        page = client.get("/account/")
        assert page.status_code == 503 and "Nothing was changed" in page.content.decode()
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200
        assert client.get("/.well-known/jwks.json").status_code == 503
    assert client.get("/readyz").json() == {"database": "ok", "cache": "ok", "keyring": "ok"}


@pytest.mark.parametrize("after", range(7))
def test_a_database_that_goes_away_in_the_middle_of_an_answer_spends_nothing_or_all(
    api: Api, alice: Person, after: int
) -> None:
    Api().sign_in(alice)
    handle, code = api.start(alice), alice.code(1)
    with database_away(after):
        assert code_of(api.answer(handle, alice.app, code)) == (503, "unavailable")
    row = Device.objects.get()
    assert SignIn.objects.latest("id").state == "waiting"
    assert api.answer(handle, alice.app, code).status_code == 200, "nothing was spent"
    assert row.failures <= 1 and row.paused_until is None


@pytest.fixture
def lost_key(settings: Any) -> None:
    """The ring no longer has the key with which everything was sealed."""
    settings.KEYRING = {"k2": os.urandom(32)}


def test_a_missing_key_is_our_fault_and_counts_nothing(api: Api, alice: Person, settings: Any) -> None:
    Api().sign_in(alice)
    handle, good = api.start(alice), dict(settings.KEYRING)
    settings.KEYRING = {"k2": os.urandom(32)}
    for _ in range(6):
        assert code_of(api.answer(handle, alice.app, "000000")) == (503, "unavailable")
    row = Device.objects.get()
    assert row.failures == 0 and row.paused_until is None
    settings.KEYRING = {"k2": os.urandom(32), **good}
    assert api.answer(handle, alice.app, alice.code(1)).status_code == 200, "several keys open, the first seals"


def test_a_missing_signing_key_spends_nothing(api: Api, bob: Person, settings: Any) -> None:
    Api().sign_in(bob)
    handle, good = api.start(bob), dict(settings.KEYRING)
    options = api.challenge(handle, bob.key)
    signing.forget()
    settings.KEYRING = {"k2": os.urandom(32)}
    assert code_of(api.answer(handle, bob.key, bob.soft_key.get(options))) == (503, "unavailable")
    settings.KEYRING = good
    bob.key.refresh_from_db()
    assert bob.key.failures == 0 and bob.key.counter == 1
    assert api.answer(handle, bob.key, bob.soft_key.get(api.challenge(handle, bob.key))).status_code == 200


def test_a_seed_copied_to_another_row_does_not_open(api: Api, alice: Person, mallory: Person) -> None:
    Device.objects.filter(pk=alice.app.pk).update(secret=mallory.app.secret)
    assert code_of(api.answer(api.start(alice), alice.app, mallory.code())) == (503, "unavailable")


@pytest.mark.parametrize(
    "junk", ["", "v1", "v1.k1", "v2.k1.AAAA.AAAA", "v1.k1.AAAA.AAAA", "v1.k1.!!.!!", "v1.other.AAAA.AAAA", "ü.ü.ü.ü"]
)
def test_what_was_not_sealed_here_does_not_open(junk: str) -> None:
    with pytest.raises(keyring.CannotOpen):
        keyring.unseal(junk, "t", "c", 1)


def test_a_sealed_value_opens_only_in_its_place() -> None:
    sealed = keyring.seal(b"secret", "table", "column", 1)
    assert keyring.unseal(sealed, "table", "column", 1) == b"secret"
    assert sealed.split(".")[:2] == ["v1", next(iter(settings.KEYRING))]
    for place in (("other", "column", 1), ("table", "other", 1), ("table", "column", 2)):
        with pytest.raises(keyring.CannotOpen):
            keyring.unseal(sealed, *place)
    changed = sealed[:-1] + ("A" if sealed[-1] != "A" else "B")
    with pytest.raises(keyring.CannotOpen):
        keyring.unseal(changed, "table", "column", 1)
    assert keyring.seal(b"secret", "table", "column", 1) != sealed


GOOD_KEY = base64.b64encode(os.urandom(32)).decode()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "k1",
        "k1:",
        "k1:AAAA",
        f"K1:{GOOD_KEY}",
        f"k1:{GOOD_KEY},k1:{GOOD_KEY}",
        "k1:" + base64.b64encode(bytes(32)).decode(),
    ],
)
def test_a_keyring_that_is_none_stops_the_start(value: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        keyring.parse(value)


# ---- audit -----------------------------------------------------------------------------------------------------------


def test_every_step_leaves_a_genuine_event_and_a_changed_one_is_found(api: Api, alice: Person) -> None:
    handle = api.start(alice)
    api.answer(handle, alice.app, alice.wrong_code())
    api.answer(handle, alice.app, alice.code())
    api.post("sign-ins", {"username": "alice", "password": "wrong"})
    acts = list(Event.objects.values_list("act", "reason"))
    assert acts == [
        ("password_passed", ""),
        ("answer_refused", "CODE_WRONG"),
        ("signed_in", ""),
        ("password_refused", "BAD_CREDENTIALS"),
    ]
    for event in Event.objects.all():
        assert is_genuine(event)
    changes: dict[str, Any] = {
        "act": "x",
        "person": None,
        "about": {"amr": []},
        "at": event.at.replace(year=2020),
        "reason": "x",
    }
    for column, value in changes.items():
        event = Event.objects.get(act="signed_in")
        setattr(event, column, value)
        assert not is_genuine(event), column
    event = Event.objects.get(act="signed_in")
    event.personal = {**(event.personal or {}), "address": "10.0.0.1"}
    assert not is_genuine(event)
    event.personal = None
    assert is_genuine(event), "erased personal data leaves the proof whole"
