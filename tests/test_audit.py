"""What verify_audit finds: any one row that was changed, removed, moved, added or cut off, sealed or not."""

import base64
import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from audit import ids, seals
from audit.events import canonical, covered, record
from audit.gaps import minus
from audit.models import Event, Seal
from mfa_site import keyring
from mfa_site.client import Client
from tests.conftest import Api, Person

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)

WHO = Client("192.0.2.7", "a browser", "request-1")
COLUMNS = [column.name for column in Event._meta.fields]
SEAL_COLUMNS = [column.name for column in Seal._meta.fields]


def write(count: int = 1) -> None:
    for number in range(count):
        with transaction.atomic():
            record(
                "tested", client=WHO, person=uuid.uuid4(), device=uuid.uuid4(), sid=uuid.uuid4(), reason="WHY", number=number
            )


def later(seconds: float = 11) -> datetime:
    """So much later that the next seal is due."""
    return timezone.now() + timedelta(seconds=seconds)


@pytest.fixture(params=["sealed", "not sealed", "half sealed"])
def log_of_six(request: Any) -> str:
    """Six events: in two seals, in none, or four in one seal and two in none."""
    write(4)
    if request.param != "not sealed":
        assert seals.seal(timezone.now()) == 4
    write(2)
    if request.param == "sealed":
        assert seals.seal(later()) == 2
    assert found() == []
    return str(request.param)


def verified(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of verify_audit."""
    told, code = io.StringIO(), 0
    try:
        call_command("verify_audit", "--json", *arguments, stdout=told)
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = json.loads(told.getvalue())
    assert said["genuine"] is (code == 0) is (not said["findings"])
    return code, said


def found(*arguments: str) -> list[tuple[str, int, int]]:
    """What it finds, and which events or seals."""
    return [(one["what"], one["first"], one["last"]) for one in verified(*arguments)[1]["findings"]]


def sql(statement: str, *values: Any) -> None:
    """By somebody with the database and without the keyring."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


OTHER: dict[str, Any] = {
    "id": 100,
    "uuid": uuid.UUID(int=5),
    "at": datetime(2020, 1, 1, tzinfo=timezone.now().tzinfo),
    "act": "other",
    "reason": "",
    "actor": None,
    "person": uuid.UUID(int=6),
    "device": None,
    "sid": uuid.UUID(int=7),
    "request_id": "request-2",
    "about": {"number": "3"},
    "personal": {"address": "192.0.2.8"},
    "personal_digest": "v2.x",
    "mac": "v2.é",
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("id", [1, 3, 6])
def test_a_changed_column_is_found(log_of_six: str, id: int, column: str) -> None:
    Event.objects.filter(id=id).update(**{column: OTHER[column]})
    seen = found()
    assert ("changed", id, id) in seen or column == "id"
    if column == "id":
        assert {what for what, first, last in seen if first <= id <= last} <= {"missing", "removed"} and seen


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL keeps values, not their spelling")
@pytest.mark.parametrize(
    "change",
    [
        "person = upper(person)",
        "sid = substr(sid, 1, 8) || '-' || substr(sid, 9)",
        'about = \'{"number": "forged", \' || substr(about, 2)',
        "personal = replace(personal, ': ', ':')",
        "at = replace(at, ' ', 'T')",
    ],
)
def test_another_spelling_of_the_same_value_is_found(log_of_six: str, change: str) -> None:
    """By which a row would be passed over when events are looked up, though it reads the same."""
    sql(f"UPDATE audit_event SET {change} WHERE id = 3")
    assert ("changed", 3, 3) in found()


@pytest.mark.parametrize("id", [1, 3, 6])
def test_a_removed_row_is_found(log_of_six: str, id: int) -> None:
    Event.objects.filter(id=id).delete()
    was_sealed = log_of_six == "sealed" or (log_of_six == "half sealed" and id <= 4)
    assert found() == [("removed" if was_sealed else "missing", id, id)]


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_cut_off_end_is_found(log_of_six: str, count: int) -> None:
    Event.objects.filter(id__gt=6 - count).delete()
    seen = found()
    assert seen[0][1] == 7 - count and seen[-1][2] == 6
    assert {what for what, *_ in seen} <= {"removed", "missing"}
    write()
    assert found() == seen, "what follows does not cover it"


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 5), (5, 6)])
def test_two_rows_that_changed_places_are_found(log_of_six: str, one: int, other: int) -> None:
    for old, new in ((one, 50), (other, one), (50, other)):
        sql("UPDATE audit_event SET id = %s WHERE id = %s", new, old)
    assert sorted(found()) == [("changed", one, one), ("changed", other, other)] or found() == [("changed", one, other)]


@pytest.mark.parametrize("id", [0, 7, 1000])
def test_a_row_inserted_by_hand_is_found(log_of_six: str, id: int) -> None:
    copied = Event.objects.get(id=3)
    copied.id, copied.uuid = id, uuid.uuid4()
    copied.save(force_insert=True)
    assert ("changed", id, id) in found()


def test_a_value_that_is_none_is_found_and_stops_nothing(log_of_six: str) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("the columns have types")
    for id, column in ((2, "person"), (3, "sid"), (4, "at"), (6, "mac")):
        sql(f"UPDATE audit_event SET {column} = 'x' WHERE id = %s", id)
    assert found() == [("unreadable", 2, 3), ("changed", 4, 4), ("changed", 6, 6)]


@pytest.mark.parametrize("column", SEAL_COLUMNS)
def test_a_changed_seal_is_found(column: str) -> None:
    for _round in range(3):
        write(2)
        seals.seal(later(11 * _round))
    other = {"number": 9, "at": timezone.now(), "first": 2, "last": 5, "missing": [[3, 3]]}.get(column, "0" * 64)
    Seal.objects.filter(number=2).update(**{column: other})
    assert ("seal_missing" if column == "number" else "seal_changed", 2) in [(what, first) for what, first, _ in found()]


@pytest.mark.parametrize("change", ["a space", "a mark put between", "spare bits", "more padding"])
def test_a_signature_written_otherwise_is_found(change: str) -> None:
    write()
    seals.seal(timezone.now())
    was = Seal.objects.get().signature
    spare = chr(ord(was[-3]) + 1)  # 64 bytes leave four bits of the last character unread: A, Q, g or w
    other = {
        "a space": f" {was}",
        "a mark put between": f"{was[:20]}!{was[20:]}",
        "spare bits": f"{was[:-3]}{spare}==",
        "more padding": f"{was}==",
    }[change]
    assert base64.urlsafe_b64decode(other) == base64.urlsafe_b64decode(was)
    Seal.objects.update(signature=other)
    assert found() == [("seal_changed", 1, 1)]


def test_removed_and_exchanged_seals_are_found() -> None:
    for number in range(3):
        write(2)
        seals.seal(later(11 * number))
    head = Seal.objects.get(number=3).hash
    assert found("--head", head) == []
    rows = list(Seal.objects.order_by("number"))
    Seal.objects.filter(number=2).delete()
    assert found() == [("seal_missing", 2, 2)]
    rows[1].save(force_insert=True)
    assert found() == []
    Seal.objects.filter(number=3).delete()
    assert found() == [], "the rows are whole, and nothing in the database says that there was a third seal"
    assert found("--head", head) == [("head", 0, 0)]
    assert found("--head", rows[0].hash) == []


def test_with_the_last_head_an_end_cut_off_with_its_sequence_is_found() -> None:
    write(4)
    seals.seal(timezone.now())
    head = Seal.objects.get().hash
    Seal.objects.all().delete()
    Event.objects.filter(id__gt=2).delete()
    if connection.vendor == "postgresql":
        sql("SELECT setval('audit_event_id_seq', 2)")
    else:
        sql("UPDATE sqlite_sequence SET seq = 2 WHERE name = 'audit_event'")
    assert found() == [] and found("--head", head) == [("head", 0, 0)]


def test_a_sequence_put_back_is_found(log_of_six: str) -> None:
    sql(
        "SELECT setval('audit_event_id_seq', 3)"
        if connection.vendor == "postgresql"
        else "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'audit_event'"
    )
    assert found() == [("never_taken", 4, 6)]


def test_a_row_changed_by_somebody_with_the_mac_key_is_found_by_its_seal() -> None:
    write(3)
    seals.seal(timezone.now())
    event = Event.objects.get(id=2)
    event.act = "other"
    event.mac = keyring.mac(covered(event), "audit-event")
    event.save()
    assert found() == [("seal_events", 1, 1)]


def test_erased_personal_data_leaves_everything_genuine(log_of_six: str) -> None:
    Event.objects.filter(id__in=(2, 6)).update(personal=None)
    code, said = verified()
    assert (code, said["erased"]) == (0, 2)
    write()
    seals.seal(later(30))
    assert found() == []


def test_rows_of_the_first_version_stay_genuine_and_come_first() -> None:
    write(2)
    old = Event.objects.all()
    for event in old:
        event.mac = keyring.mac(before(event), "audit")
        event.save()
    write(1)
    assert found() == []
    seals.seal(timezone.now())
    event = Event.objects.get(id=3)
    event.mac = keyring.mac(before(event), "audit")
    event.save()
    write(1)
    assert found() == [("seal_events", 1, 1)]
    event = Event.objects.get(id=4)
    event.mac = keyring.mac(before(event), "audit")
    event.save()
    Event.objects.filter(id=3).update(mac=keyring.mac(covered(Event.objects.get(id=3)), "audit-event"))
    assert found() == [("old_form", 4, 4)]


def before(event: Event) -> bytes:
    """What the first version's MAC covered."""
    names = ("uuid", "act", "reason", "actor", "person", "device", "sid", "request_id", "personal_digest")
    values = {name: str(getattr(event, name) or "") for name in names}
    return canonical({**values, "at": event.at.isoformat(timespec="microseconds"), "about": event.about})


# ---- gaps ------------------------------------------------------------------------------------------------------------


def roll_back() -> None:
    """An event is taken back with its transaction."""
    with transaction.atomic():
        record("never", client=WHO)
        transaction.set_rollback(True)


def test_what_rolled_back_leaves_no_gap_on_sqlite_and_one_to_acknowledge_on_postgresql(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", "audit"):
        write(1)
        roll_back()
        write(1)
    assert [line.message for line in caplog.records] == ["tested", "tested"], "the log tells what was committed"
    numbers = list(Event.objects.values_list("id", flat=True))
    assert [line.audit_id for line in caplog.records] == numbers  # type: ignore[attr-defined]
    if connection.vendor == "sqlite":
        assert numbers == [1, 2] and found() == []
        return
    assert numbers == [1, 3] and found() == [("missing", 2, 2)]
    seals.seal(timezone.now())
    assert Seal.objects.get().missing == [[2, 2]] and found() == [("missing", 2, 2)]


@pytest.mark.parametrize("sealed", [False, True])
def test_an_acknowledged_gap_is_told_and_no_finding(sealed: bool) -> None:
    write(5)
    Event.objects.filter(id__in=(2, 3, 5)).delete()
    if sealed:
        seals.seal(timezone.now())
    assert found() == [("missing", 2, 3), ("missing", 5, 5)]
    assert found("--acknowledge", "3") == [("missing", 2, 2), ("missing", 5, 5)]
    assert found("--acknowledge", "2") == [("missing", 5, 5)]
    code, said = verified("--acknowledge", "5-5")
    assert (code, said["acknowledged"]) == (0, [[2, 3], [5, 5]])
    seals.seal(later())
    assert found() == []
    Event.objects.filter(id=4).delete()
    assert found() != []


def test_what_was_sealed_and_removed_cannot_be_acknowledged() -> None:
    write(3)
    seals.seal(timezone.now())
    Event.objects.filter(id=2).delete()
    for given in ("2", "1-2", "1", "9", "0", "3-2"):
        with pytest.raises(CommandError, match="no gap that can be acknowledged"):
            call_command("verify_audit", "--acknowledge", given)
    for given in ("x", "1-", "", "-1", "1" * 30):
        with pytest.raises(CommandError, match="takes the id") as raised:
            call_command("verify_audit", f"--acknowledge={given}")
        assert raised.value.returncode == 2


def test_a_row_that_comes_where_a_seal_says_there_was_none_is_found() -> None:
    write(3)
    kept = Event.objects.get(id=2)
    Event.objects.filter(id=2).delete()
    seals.seal(timezone.now())
    kept.save(force_insert=True)
    assert found() == [("added", 2, 2)]


def test_ranges_without_ranges() -> None:
    assert minus([(1, 9)], [(2, 3), (5, 5), (9, 12)]) == [(1, 1), (4, 4), (6, 8)]
    assert minus([(1, 2), (4, 6)], [(1, 5)]) == [(6, 6)]
    assert minus([(1, 2)], []) == [(1, 2)] and minus([], [(1, 2)]) == []


# ---- several at once -------------------------------------------------------------------------------------------------


@contextmanager
def open_transaction() -> Iterator[threading.Event]:
    """A second connection has written an event and commits when this is set, at the latest afterwards."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    written, go_on = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            record("late", client=WHO)
            written.set()
            assert go_on.wait(30)

    writer = in_thread(late)
    try:
        assert written.wait(10)
        yield go_on
    finally:
        go_on.set()
        writer.join()


def in_thread(act: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_late_commit_is_waited_for_by_seal_and_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_transaction() as go_on:
        write(2)
        monkeypatch.setattr(seals, "PATIENCE", 0.1)
        assert seals.seal(timezone.now()) == 0, "id 1 may still come: nothing after it can be sealed"
        monkeypatch.setattr(ids, "PATIENCE", 0.1)
        assert ("busy", 3, 3) in found()
        with pytest.raises(CommandError):
            call_command("verify_audit", "--acknowledge", "1")
        monkeypatch.setattr(ids, "PATIENCE", 10.0)
        threading.Timer(0.3, go_on.set).start()
        assert found() == []
        assert seals.seal(timezone.now()) == 3 and Seal.objects.get().missing == []
    assert list(Event.objects.values_list("act", flat=True)) == ["late", "tested", "tested"]


def test_what_stands_before_an_open_transaction_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "PATIENCE", 0.1)
    write(1)
    with open_transaction():
        write(1)
        assert seals.seal(timezone.now()) == 1 and Seal.objects.get().last == 1
    assert seals.seal(later()) == 2 and found() == []


def test_of_two_workers_one_writes_the_seal() -> None:
    for number in range(5):
        write(3)
        start = threading.Barrier(3)
        sealed: list[int] = []

        def one(start: threading.Barrier = start, sealed: list[int] = sealed, number: int = number) -> None:
            start.wait()
            sealed.append(seals.seal(later(11 * number)))

        workers = [in_thread(one) for _worker in range(3)]
        for worker in workers:
            worker.join()
        assert sum(sealed) == 3 and Seal.objects.count() == number + 1
    assert found() == []


def test_writers_at_once_leave_a_whole_audit_while_it_is_sealed() -> None:
    writers = [in_thread(lambda: write(20)) for _writer in range(6)]
    number = 0
    while any(writer.is_alive() for writer in writers):
        seals.seal(later(11 * number))
        number += 1
    seals.seal(later(11 * number))
    assert Event.objects.count() == 120 and found() == []
    assert all(seal.missing == [] for seal in Seal.objects.all())


# ---- seals -----------------------------------------------------------------------------------------------------------


def test_a_seal_is_due_every_ten_seconds_and_a_late_worker_catches_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    assert seals.seal(now) == 0 and Seal.objects.count() == 0
    write(1)
    assert seals.seal(now) == 1
    write(5)
    assert seals.seal(now + timedelta(seconds=9)) == 0
    monkeypatch.setattr(seals, "MOST", 2)
    assert seals.seal(now + timedelta(seconds=11)) == 5
    assert [(row.first, row.last) for row in Seal.objects.all()] == [(1, 1), (2, 3), (4, 5), (6, 6)]
    assert found() == []


def test_each_head_is_in_the_log_with_the_key(caplog: pytest.LogCaptureFixture) -> None:
    write(2)
    with caplog.at_level("INFO", "audit"):
        seals.seal(timezone.now())
    row, line = Seal.objects.get(), caplog.records[-1]
    told: Any = line
    assert (told.message, told.seal, told.audit_id, told.head) == ("sealed", 1, 2, row.hash)
    _, said = verified()
    assert (said["head"], said["key"]) == (row.hash, told.key)


def test_a_sign_in_is_sealed_and_verified_in_words(api: Api, alice: Person, capsys: pytest.CaptureFixture[str]) -> None:
    api.sign_in(alice)
    call_command("worker", "--once")
    call_command("verify_audit")
    assert "2 events (0 not sealed yet, 0 without their personal data), 1 seals" in capsys.readouterr().out
    Event.objects.filter(act="signed_in").update(person=uuid.uuid4())
    with pytest.raises(SystemExit):
        call_command("verify_audit")
    assert "event 2 is not as it was written" in capsys.readouterr().out


def test_with_a_wrong_keyring_it_says_so(settings: Any) -> None:
    write(1)
    keyring.forget()
    settings.KEYRING = {"k9": bytes(range(32))}
    with pytest.raises(CommandError, match="cannot be opened"):
        call_command("verify_audit")
