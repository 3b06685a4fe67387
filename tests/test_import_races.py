"""Imports at the same moment: of one file, of one preview, and an undo against a hand-out."""

import io
from typing import Any

import pytest
from django.utils import timezone

from accounts import handing_out
from accounts.models import User
from audit.events import OPERATOR
from audit.models import Event
from desk import importing, previews
from desk.models import Batch
from devices.judging import Existing
from devices.lifecycle import State
from devices.models import Device
from devices.seed_files import Secret
from mfa_site.client import Client
from mfa_site.errors import Refused
from tests.conftest import Person, make_person
from tests.test_import_tokens import line
from tests.test_races import ROUNDS, Crowd
from tests.test_roles import member

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]
HERE = Client("", "", "")
CROWD = 6


@pytest.fixture
def tess() -> Person:
    return member("Token desk", username="tess")


def looked_at(person: Person, first: int, count: int = 20) -> Batch:
    """A preview of so many tokens."""
    content = io.BytesIO("\n".join(line(number) for number in range(first, first + count)).encode())
    return previews.look(content, "tokens.csv", "", Secret(), person.user, timezone.now())


def begin(batch: Batch, existing: Existing = Existing.REFUSE) -> bool:
    """Whether this caller started the import."""
    try:
        importing.begin(batch, existing, User.objects.get(uuid=batch.by), HERE, timezone.now(), queued=False)
    except Refused:
        return False
    return True


def in_stock(batch: Batch) -> int:
    return Device.objects.filter(batch=batch.uuid, state=State.IN_STOCK).count()


def test_the_same_file_many_times_at_once(tess: Person) -> None:
    with Crowd(CROWD) as crowd:
        for number in range(ROUNDS):
            batches = [looked_at(tess, 100 * number) for _ in range(CROWD)]
            assert all(begin(batch) for batch in batches)
            waiting = list(batches)
            crowd.post(lambda _api: importing.run(waiting.pop().uuid))  # noqa: B023
            states = sorted(Batch.objects.filter(pk__in=[batch.pk for batch in batches]).values_list("state", flat=True))
            assert states == ["done"] + ["failed"] * (CROWD - 1)
            assert sum(in_stock(batch) for batch in batches) == 20
    assert Event.objects.filter(act="tokens_imported").count() == ROUNDS


def test_one_preview_started_and_run_many_times_at_once(tess: Person) -> None:
    with Crowd(CROWD) as crowd:
        for number in range(ROUNDS):
            batch = looked_at(tess, 100 * number)
            started = crowd.post(lambda _api: begin(Batch.objects.get(pk=batch.pk)))  # noqa: B023
            assert sorted(started) == [False] * (CROWD - 1) + [True]
            crowd.post(lambda _api: importing.run(batch.uuid))  # noqa: B023
            assert in_stock(batch) == 20
    assert Event.objects.filter(act="tokens_imported").count() == ROUNDS


def test_an_undo_against_a_hand_out(tess: Person) -> None:
    ada, seen = make_person().user, set()
    with Crowd(CROWD) as crowd:
        for number in range(ROUNDS):
            batch = looked_at(tess, 100 * number)
            begin(batch)
            importing.run(batch.uuid)
            row = Device.objects.filter(batch=batch.uuid).order_by("-id")[0]
            calls: list[Any] = [lambda: undo(batch), lambda: hand_out(row, ada)] * (CROWD // 2)  # noqa: B023
            won = crowd.post(lambda _api: calls.pop()())  # noqa: B023
            assert len(list(filter(None, won))) == 1, won
            [winner] = filter(None, won)
            seen.add(winner)
            row.refresh_from_db()
            assert (in_stock(batch), row.user_id) == ((0, None) if winner == "undone" else (19, ada.pk))
    assert seen, "whoever it was"


def undo(batch: Batch) -> str:
    try:
        importing.undo(Batch.objects.get(pk=batch.pk), HERE, timezone.now(), actor=OPERATOR)
    except Refused:
        return ""
    return "undone"


def hand_out(row: Device, person: Any) -> str:
    try:
        handing_out.hand_out(Device.objects.get(pk=row.pk), person, HERE, timezone.now(), actor=OPERATOR)
    except Refused:
        return ""
    return "handed out"


def test_a_replacement_against_a_hand_out(tess: Person) -> None:
    ada = make_person().user
    with Crowd(2) as crowd:
        for number in range(ROUNDS):
            old = looked_at(tess, 100 * number, 5)
            begin(old)
            importing.run(old.uuid)
            row, new = Device.objects.filter(batch=old.uuid).order_by("-id")[0], looked_at(tess, 100 * number, 5)
            assert begin(new, Existing.REPLACE)
            calls: list[Any] = [lambda: importing.run(new.uuid), lambda: hand_out(row, ada)]  # noqa: B023
            handed = "handed out" in crowd.post(lambda _api: calls.pop()())  # noqa: B023
            new.refresh_from_db()
            row.refresh_from_db()
            assert new.state == ("failed" if handed else "done")
            assert (in_stock(old), in_stock(new)) == ((4, 0) if handed else (0, 5))
            assert row.state == (State.ASSIGNED if handed else State.RETIRED)
            Device.objects.filter(user=ada).update(state=State.RETIRED)
