"""Changing the keys under which secrets are kept: everything comes under the new one, nothing is lost meanwhile."""

import base64
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyotp
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts import demo
from accounts.demo import Seeded
from audit.events import is_genuine
from audit.models import Event
from devices.models import Device
from grants import signing
from grants.models import SigningKey
from mfa_site import keyring, rotation
from mfa_site.fields import MacField, SealedField
from mfa_site.models import StoredKey
from mfa_site.start import refuse_another_keyring
from tests.conftest import Api, Person, code_of
from tests.running import Service, as_setting, database_of_this_test

pytestmark = pytest.mark.django_db(transaction=True)

COLUMNS = {"devices_device.secret", "grants_signingkey.private", "mfa_site_storedkey.sealed"}
People = Callable[..., Person]
PEOPLE = 1_500  # enough rows for sign-ins to fall into the rotation


class Ring:
    """The keyring of the service under test, as an operator changes it."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.old, self.new = dict(settings.KEYRING), {"new": os.urandom(32)}
        self.old_id = next(iter(self.old))

    def becomes(self, *parts: dict[str, bytes]) -> None:
        """Every process was started again with these keys, in this order."""
        self.settings.KEYRING = {name: key for part in parts for name, key in part.items()}
        keyring.forget()
        signing.forget()


@pytest.fixture
def ring(settings: Any) -> Ring:
    return Ring(settings)


def rotate(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    """What the command printed; a CommandError as `failed`: its exit code and words."""
    failed = None
    try:
        call_command("rotate_keys", json=True, **options)
    except CommandError as error:
        failed = (error.returncode, str(error))
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {**told, "failed": failed}


def test_the_registry_knows_every_sealed_column() -> None:
    assert {column.place for column in rotation.columns(SealedField)} >= COLUMNS
    assert {column.place for column in rotation.columns(MacField)} >= {"audit_event.mac", "audit_event.personal_digest"}


def test_a_rotation_brings_everything_under_the_new_key_and_the_old_one_may_leave(
    person: People, ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    people = [person("totp") for _ in range(3)]
    pair = Api().sign_in(people[0])
    told = rotate(capsys)
    assert told["failed"] is None and told["in_use"] == [ring.old_id] and told["may_leave"] == []
    assert all(column["resealed"] == 0 for column in told["sealed"].values()), "the first key sealed it all"

    ring.becomes(ring.new, ring.old)
    told = rotate(capsys, dry_run=True)
    assert told["failed"] is None and told["in_use"] == [ring.old_id], "a dry run changes nothing"
    told = rotate(capsys)
    assert told["failed"] is None and told["in_use"] == ["new"] and told["may_leave"] == [ring.old_id]
    assert told["sealed"]["devices_device.secret"] == {"resealed": 3, "keys": {"new": 3}, "closed": 0, "closed_rows": []}
    assert told["sealed"]["grants_signingkey.private"]["resealed"] == 1
    assert told["sealed"]["mfa_site_storedkey.sealed"]["resealed"] == StoredKey.objects.count()
    assert all(column["resealed"] == 0 for column in rotate(capsys)["sealed"].values()), "done is done"

    ring.becomes(ring.new)
    for one in people[1:]:
        Api().sign_in(one)
    assert Api(pair["access_token"]).get("me").status_code == 200
    assert Client().get("/readyz").status_code == 200
    assert all(is_genuine(event) for event in Event.objects.all())


def test_more_rows_than_a_batch_and_a_stop_in_the_middle(
    person: People, ring: Ring, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [person("totp") for _ in range(5)]
    monkeypatch.setattr(rotation, "BATCH", 2)
    ring.becomes(ring.new, ring.old)
    seal, seen = keyring.seal, []

    def stop_at_the_third(clear: bytes, table: str, column: str, row: object) -> str:
        seen.append(table)
        if seen.count("devices_device") == 3:
            raise KeyboardInterrupt
        return seal(clear, table, column, row)

    with monkeypatch.context() as stopped:
        stopped.setattr(keyring, "seal", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            rotation.reseal()
    assert Device.objects.filter(secret__startswith="v1.new.").count() == 2
    told = rotate(capsys)
    assert told["sealed"]["devices_device.secret"]["resealed"] == 3 and told["in_use"] == ["new"]
    ring.becomes(ring.new)
    for one in people:
        Api().sign_in(one)


def test_other_bytes_under_the_id_of_the_new_key_seal_nothing(
    person: People, ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    person("totp")
    ring.becomes(ring.new, ring.old)
    person("totp")  # sealed with the new key already, as in a rotation that was stopped half way
    before = sealed_values()
    ring.becomes({"new": os.urandom(32)}, ring.old)
    with pytest.raises(CommandError) as refused:
        call_command("rotate_keys")
    row = Device.objects.get(secret__startswith="v1.new.").uuid
    words = f"Nothing changed: row {row} of devices_device.secret was sealed with new and does not open with this new."
    assert (refused.value.returncode, str(refused.value)) == (1, words)
    assert sealed_values() == before and capsys.readouterr().out == ""
    told = rotate(capsys, dry_run=True)
    assert told["failed"][0] == 3 and told["sealed"]["devices_device.secret"]["closed_rows"] == [str(row)]

    ring.becomes(ring.new, ring.old)
    assert rotate(capsys)["may_leave"] == [ring.old_id]


def sealed_values() -> dict[str, list[tuple[Any, ...]]]:
    """Every sealed value, by column."""
    found = rotation.columns(SealedField)
    return {one.place: list(one.model._base_manager.order_by("pk").values_list("pk", one.name)) for one in found}


def test_stored_keys_come_first_so_that_nothing_starts_with_other_bytes_after_a_stop(
    alice: Person, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.becomes(ring.new, ring.old)
    seal = keyring.seal

    def stop_after_the_stored_keys(clear: bytes, table: str, column: str, row: object) -> str:
        if table != "mfa_site_storedkey":
            raise KeyboardInterrupt
        return seal(clear, table, column, row)

    with monkeypatch.context() as stopped:
        stopped.setattr(keyring, "seal", stop_after_the_stored_keys)
        with pytest.raises(KeyboardInterrupt):
            rotation.reseal()
    assert {keyring.key_id(row.sealed) for row in StoredKey.objects.all()} == {"new"}
    refuse_another_keyring()
    ring.becomes({"new": os.urandom(32)}, ring.old)
    with pytest.raises(ImproperlyConfigured, match="is not the keyring of this database"):
        refuse_another_keyring()


def test_no_key_may_leave_while_something_does_not_open(person: People, ring: Ring, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt = person("totp").app
    ring.becomes(ring.new, ring.old)
    Device.objects.filter(pk=spoilt.pk).update(secret="spoilt")
    told = rotate(capsys)
    assert told["in_use"] == ["", "new"] and told["may_leave"] == []
    with pytest.raises(CommandError):
        call_command("rotate_keys")
    assert "No longer needed" not in capsys.readouterr().out
    Device.objects.filter(pk=spoilt.pk).delete()
    assert rotate(capsys)["may_leave"] == [ring.old_id]


def test_what_is_written_while_a_row_is_resealed_is_not_lost(
    alice: Person, ring: Ring, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.becomes(ring.new, ring.old)
    seal, seed = keyring.seal, os.urandom(20)

    def seal_while_another_writes(clear: bytes, table: str, column: str, row: object) -> str:
        """Another process, still started with the old key first, gives the device a new seed."""
        if table == "devices_device":
            ring.becomes(ring.old, ring.new)
            Device.objects.update(secret=seal(seed, table, column, row))
            ring.becomes(ring.new, ring.old)
        return seal(clear, table, column, row)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(keyring, "seal", seal_while_another_writes)
        told = rotate(capsys)
    assert Device.objects.get().seed == seed
    assert told["sealed"]["devices_device.secret"] == {"resealed": 0, "keys": {ring.old_id: 1}, "closed": 0, "closed_rows": []}
    assert told["failed"][0] == 3 and f"Still sealed with {ring.old_id}" in told["failed"][1]
    assert told["may_leave"] == []
    assert rotate(capsys)["in_use"] == ["new"], "the next run has it"


def test_a_row_that_was_read_before_is_never_saved_over_what_was_resealed(alice: Person) -> None:
    with pytest.raises(ValueError, match="changed by UPDATE"):
        alice.app.save()
    alice.app.save(update_fields=["name"])


def test_rows_that_do_not_open_are_named_and_the_others_done(
    person: People, ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    good, foreign, spoilt = person("totp"), person("totp"), person("totp")
    ring.becomes({"lost": os.urandom(32)})
    foreign.app.seed = b"x" * 20
    Device.objects.filter(pk=foreign.app.pk).update(secret=foreign.app.secret)
    Device.objects.filter(pk=spoilt.app.pk).update(secret="spoilt")
    ring.becomes(ring.new, ring.old)
    told = rotate(capsys)
    assert told["failed"] == (3, "2 sealed values do not open: no key in MFA_SITE_KEYS opens them.")
    column = told["sealed"]["devices_device.secret"]
    assert column["closed_rows"] == [str(foreign.app.uuid), str(spoilt.app.uuid)]
    assert column["keys"] == {"new": 1, "lost": 1, "": 1}
    assert rotate(capsys, dry_run=True)["failed"][0] == 3, "a dry run tells it too"
    with pytest.raises(CommandError):
        call_command("rotate_keys")
    words = capsys.readouterr().out
    assert f"does not open: row {foreign.app.uuid}" in words
    assert foreign.app.secret not in words and "spoilt" not in words

    Api().sign_in(good)
    assert code_of(Api().answer(Api().start(foreign), foreign.app, "000000")) == (503, "unavailable")
    foreign.app.refresh_from_db()
    assert foreign.app.failures == 0


def test_macs_of_an_earlier_version_still_need_their_key(alice: Person, ring: Ring, capsys: pytest.CaptureFixture[str]) -> None:
    Api().sign_in(alice)
    event = Event.objects.latest("id")
    Event.objects.filter(pk=event.pk).update(mac=f"v1.{ring.old_id}.{'A' * 43}")
    ring.becomes(ring.new, ring.old)
    told = rotate(capsys)
    assert told["failed"] is None and told["in_use"] == ["new"]
    assert told["old_macs"] == {"audit_event.mac": {ring.old_id: 1}} and told["may_leave"] == []
    call_command("rotate_keys")
    assert f"audit_event.mac: MACs of an earlier version, 1 under {ring.old_id}" in capsys.readouterr().out


# ---- a ciphertext stands only where it was sealed ----------------------------------------------------------------------


@pytest.mark.parametrize("place", sorted(COLUMNS))
def test_a_ciphertext_copied_to_another_row_or_column_does_not_open(person: People, place: str) -> None:
    (column,) = (one for one in rotation.columns(SealedField) if one.place == place)
    person("totp")
    person("totp")
    signing.make(SigningKey.objects.get().signs_from)
    keyring.store("another", os.urandom(32))
    rows: Any = column.model._base_manager.exclude(**{column.name: ""})
    one, other = rows[:2]
    assert keyring.unseal(getattr(one, column.name), column.model._meta.db_table, column.name, one.uuid)
    for elsewhere in (
        (column.model._meta.db_table, column.name, other.uuid),
        (column.model._meta.db_table, "other", one.uuid),
        ("other", column.name, one.uuid),
    ):
        with pytest.raises(keyring.CannotOpen):
            keyring.unseal(getattr(one, column.name), *elsewhere)
    column.model._base_manager.filter(pk=other.pk).update(**{column.name: getattr(one, column.name)})
    walked = {walked.place: walked for walked in rotation.inspect()}
    assert walked[place].closed_rows == [str(other.uuid)], "and rotate_keys names the row"


def test_a_copied_seed_signing_key_and_stored_key_are_our_fault_and_count_nothing(
    api: Api, alice: Person, mallory: Person
) -> None:
    Api().sign_in(alice)
    handle = api.start(alice)

    def refused(code: str) -> None:
        assert code_of(api.answer(handle, alice.app, code)) == (503, "unavailable")
        row = Device.objects.get(pk=alice.app.pk)
        assert (row.failures, row.paused_until) == (0, None)

    sealed = alice.app.secret
    Device.objects.filter(pk=alice.app.pk).update(secret=mallory.app.secret)
    refused(mallory.code())
    Device.objects.filter(pk=alice.app.pk).update(secret=sealed)

    key = SigningKey.objects.get()
    other = signing.make(key.signs_from)
    SigningKey.objects.filter(pk=other.pk).update(private=key.private)
    signing.forget()
    refused(alice.code(1))
    SigningKey.objects.filter(pk=other.pk).delete()
    signing.forget()

    keyring.store("another", os.urandom(32))
    mac = StoredKey.objects.get(name=keyring.MAC)
    StoredKey.objects.filter(pk=mac.pk).update(sealed=StoredKey.objects.get(name="another").sealed)
    keyring.forget()
    refused(alice.code(1))
    assert Client().get("/readyz").status_code == 503
    StoredKey.objects.filter(pk=mac.pk).update(sealed=mac.sealed)
    assert api.answer(handle, alice.app, alice.code(1)).status_code == 200, "nothing was spent"
    assert base64.b64encode(alice.app.seed).decode() not in sealed


# ---- under load ----------------------------------------------------------------------------------------------------------


class Signer(threading.Thread):
    """Signs people in one after another, by app, and uses what they are handed, until it is told to stop."""

    def __init__(self, service: Service, people: "queue.Queue[Seeded]", stop: threading.Event) -> None:
        super().__init__()
        self.service, self.people, self.stop = service, people, stop
        self.pairs: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.failed: list[Any] = []

    def run(self) -> None:
        while not self.stop.is_set() and not self.people.empty():
            try:
                self.sign_in(self.people.get())
            except Exception as error:
                self.failed.append(error)

    def sign_in(self, person: Seeded) -> None:
        pair = sign_in(self.service, person)
        self.times.append(time.monotonic())
        pair = call(self.service, "/oauth2/token", f"grant_type=refresh_token&refresh_token={pair['refresh_token']}")
        status, me = self.service.call("GET", "/api/v1/me", bearer=pair["access_token"])
        assert (status, me["username"]) == (200, person.user.username)
        status, begun = self.service.call("POST", "/api/v1/devices", {"kind": "totp"}, pair["access_token"])
        assert status == 201, begun
        self.pairs.append(pair)


def call(service: Service, path: str, body: Any) -> dict[str, Any]:
    status, told = service.call("POST", path, body)
    assert status in (200, 201), (path, told)
    return dict(told)


def sign_in(service: Service, person: Seeded) -> dict[str, Any]:
    """Password and code; the pair."""
    who = {"username": person.user.username, "password": person.password}
    handle = call(service, "/api/v1/sign-ins", who)["sign_in"]
    device, clear = person.devices[0]
    app: Any = pyotp.parse_uri(clear["otpauth_uri"])
    return call(service, "/api/v1/sign-ins/answer", {"sign_in": handle, "device": str(device.uuid), "answer": app.now()})


@pytest.mark.races
def test_a_rotation_under_load_fails_no_sign_in_and_afterwards_the_new_key_is_enough(
    ring: Ring, settings: Any, tmp_path: Path
) -> None:
    settings.DEMO = True
    seeded = list(demo.seed_many(PEOPLE, cheap=True, now=timezone.now()))
    people: queue.Queue[Seeded] = queue.Queue()
    for one in seeded[:-1]:
        people.put(one)
    service = Service(tmp_path, KEYS=as_setting(ring.new | ring.old), DATABASE_URL=database_of_this_test())
    stop = threading.Event()
    signers = [Signer(service, people, stop) for _ in range(4)]
    with service.running():
        for signer in signers:
            signer.start()
        time.sleep(1)
        began = time.monotonic()
        rotated = service.manage("rotate_keys", "--json")
        ended = time.monotonic()
        time.sleep(1)
        stop.set()
        for signer in signers:
            signer.join()
    failed = [error for signer in signers for error in signer.failed]
    assert not failed, (len(failed), failed[:3])
    times = [moment for signer in signers for moment in signer.times]
    assert min(times) < began and max(times) > ended and any(began < moment < ended for moment in times)
    told = json.loads(rotated.stdout)
    assert rotated.returncode == 0 and told["in_use"] == ["new"] and told["may_leave"] == [ring.old_id], rotated
    assert told["sealed"]["devices_device.secret"]["resealed"] >= PEOPLE

    service.settings["KEYS"] = as_setting(ring.new)
    with service.running():
        assert service.call("GET", "/readyz")[0] == 200
        sign_in(service, seeded[-1])
        for signer in signers:
            token = signer.pairs[-1]["refresh_token"]
            call(service, "/oauth2/token", f"grant_type=refresh_token&refresh_token={token}")
    ring.becomes(ring.new)
    events = list(Event.objects.all())
    assert len(events) >= 3 * len(times) and all(is_genuine(event) for event in events)
