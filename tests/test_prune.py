"""What is over is forgotten, a batch at a time; what may still be asked for stays."""

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import prune
from accounts.management.commands import worker
from accounts.models import BrowserSession, SignIn
from audit.models import Event
from devices.kinds import Proof
from devices.models import Device
from grants.models import RefreshFamily, RefreshToken
from tests.conftest import Api, Person, make_person
from tests.test_grants import refresh
from tests.test_races import AT_ONCE, Crowd

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
KINDS = (
    *("unconfirmed_enrolments", "sign_ins", "browser_sessions", "password_resets", "invitations", "refresh_families"),
    *("queue", "counters"),
)
NOTHING = dict.fromkeys(KINDS, 0)


@pytest.fixture(autouse=True)
def _rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker of this test has not looked yet."""
    monkeypatch.setattr(prune, "_rest", {})


def pruned(*options: str) -> dict[str, int]:
    out = StringIO()
    call_command("prune", "--json", *options, stdout=out)
    return dict(json.loads(out.getvalue()))


def a_life(person: Person) -> tuple[Api, str]:
    """A browser that is signed in, a family with a spent token and a new one, an enrolment begun; the newest token."""
    browser = Api()
    browser.take_csrf()
    browser.sign_in(person, grant="session")
    token = refresh(Api().sign_in(person)["refresh_token"]).json()["refresh_token"]
    assert browser.post("devices", {"kind": "totp"}).status_code == 201
    return browser, token


def rows() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in (SignIn, BrowserSession, RefreshFamily, RefreshToken, Device)}


def test_what_is_alive_or_has_just_ended_stays() -> None:
    browser, token = a_life(make_person("fido2"))
    before = rows()
    SignIn.objects.update(expires_at=timezone.now() - DAY + timedelta(minutes=1))
    assert pruned() == NOTHING and rows() == before
    assert browser.get("me").status_code == 200 and refresh(token).status_code == 200
    now = timezone.now() - timedelta(hours=23)
    BrowserSession.objects.update(ended_at=now, expires_at=now)
    RefreshFamily.objects.update(ended_at=now, idle_until=now, expires_at=now)
    assert pruned() == NOTHING


@pytest.mark.parametrize("how", ["ended_at", "expires_at", "idle_until"])
def test_what_ended_more_than_a_day_ago_is_gone_with_its_tokens_and_the_audit_stays(how: str) -> None:
    a_life(make_person("fido2"))
    a_life(other := make_person("fido2"))
    events = list(Event.objects.values_list("pk", flat=True))
    long_ago = timezone.now() - DAY - timedelta(minutes=1)
    families = RefreshFamily.objects.exclude(person=other.user.uuid)
    families.update(**{how: long_ago})
    if how != "idle_until":
        BrowserSession.objects.exclude(person=other.user).update(**{how: long_ago})
    SignIn.objects.exclude(user=other.user).update(expires_at=long_ago)
    Device.objects.filter(state="assigned").exclude(user=other.user).update(created_at=F("created_at") - timedelta(minutes=11))
    expected = {**NOTHING, "unconfirmed_enrolments": 1, "sign_ins": 3, "refresh_families": 1}
    expected["browser_sessions"] = 0 if how == "idle_until" else 1
    before = rows()
    assert pruned("--dry-run") == expected and rows() == before
    assert pruned() == expected and pruned() == NOTHING
    assert RefreshFamily.objects.get().person == other.user.uuid
    assert RefreshToken.objects.count() == 2 and RefreshToken.objects.exclude(spent_at=None).count() == 1
    assert Device.objects.filter(state="active").count() == 2 and Device.objects.filter(state="assigned").count() == 1
    assert list(Event.objects.values_list("pk", flat=True)) == events


def many_sign_ins(count: int, at: datetime) -> None:
    SignIn.objects.bulk_create(
        [SignIn(purpose="sign_in", state="finished", created_at=at, expires_at=at) for _ in range(count)]
    )


def test_batches_are_bounded_and_go_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    many_sign_ins(25, timezone.now() - 2 * DAY)
    monkeypatch.setattr(prune, "BATCH", 10)
    with CaptureQueriesContext(connection) as captured:
        assert pruned()["sign_ins"] == 25
    deletes = [query["sql"] for query in captured.captured_queries if query["sql"].startswith("DELETE")]
    assert len(deletes) == 3
    assert all('WHERE "accounts_signin"."id" IN (' in sql and "SELECT" not in sql for sql in deletes)
    assert max(sql.count(",") for sql in deletes) == 9


def test_the_worker_takes_a_batch_a_round_and_rests_when_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prune.a_little in worker.CHORES
    now = timezone.now()
    many_sign_ins(15, now - 2 * DAY)
    monkeypatch.setattr(prune, "BATCH", 10)
    assert [prune.a_little(now + timedelta(seconds=second)) for second in range(3)] == [10, 5, 0]
    many_sign_ins(1, now - 2 * DAY)
    assert prune.a_little(now + timedelta(minutes=9)) == 0
    assert prune.a_little(now + timedelta(minutes=11)) == 1


def test_the_words_for_people() -> None:
    many_sign_ins(2, timezone.now() - 2 * DAY)
    out = StringIO()
    call_command("prune", "--dry-run", stdout=out)
    assert "sign ins: 2 would be deleted" in out.getvalue()
    call_command("prune", stdout=out)
    assert "sign ins: 2 deleted" in out.getvalue() and not SignIn.objects.exists()


@pytest.mark.races
def test_several_at_once_and_a_device_that_is_confirmed_meanwhile_stays() -> None:
    with Crowd() as crowd:
        for person in [make_person() for _ in range(3)]:
            long_ago = timezone.now() - 2 * DAY
            many_sign_ins(40, long_ago)
            row = Device(user=person.user, kind="totp", name="App", created_at=long_ago)
            row.seed = b"x" * 20
            row.save()
            turns: list[Any] = [
                lambda: prune.everything(timezone.now()),
                lambda: row.activate(Proof(counter=7), "App", timezone.now()),  # noqa: B023
            ] * AT_ONCE
            done = crowd.post(lambda _api: turns.pop()())  # noqa: B023
            assert Device.objects.filter(pk=row.pk, state="active").count() == done.count(True) <= 1
            assert sum(counts["sign_ins"] for counts in done if isinstance(counts, dict)) == 40
