"""The dashboard: every event and device is counted once, the pictures say what the tables say, and a look costs little."""

import re
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import census
from accounts.management.commands.worker import CHORES
from accounts.models import Count, User
from audit import seals, tally
from audit.events import record
from audit.models import Event, Tallied, Tally
from desk import charts
from desk.figures import DAYS, Figure, figures
from devices.lifecycle import State
from devices.models import Device, Kind
from mfa_site.client import Client
from tests.conftest import Api, make_person, make_token
from tests.test_admin import browser
from tests.test_roles import member

pytestmark = pytest.mark.django_db
SVG = "{http://www.w3.org/2000/svg}"


def happen(act: str, reason: str = "", **about: Any) -> None:
    record(act, client=Client("", "", "request-1"), reason=reason, **about)


def counted() -> dict[tuple[str, str, str], int]:
    """Sealed and counted, to the end."""
    before = seals.newest()
    now = (before.at if before else timezone.now()) + timedelta(minutes=1)
    seals.seal(now)
    while tally.count(now):
        pass
    return {(row.act, row.kind, row.reason): row.events for row in Tally.objects.all()}


def numbers(name: str, days: int = 30) -> dict[str, list[int]]:
    """The rows of a figure by what they are called."""
    [found] = [figure for figure in figures(days, timezone.now()) if figure.name == name]
    return {str(row): values for row, values in found.rows}


def test_every_sealed_event_is_counted_once(monkeypatch: Any) -> None:
    happen("signed_in", kind="totp")
    happen("answer_refused", "CODE_WRONG", kind="totp")
    first = {("signed_in", "totp", ""): 1, ("answer_refused", "totp", "CODE_WRONG"): 1}
    assert counted() == counted() == first
    monkeypatch.setattr(seals, "MOST", 2)
    monkeypatch.setattr(tally, "AT_ONCE", 2)
    for _ in range(7):
        happen("signed_in", kind="totp")
    assert counted() == {**first, ("signed_in", "totp", ""): 8}
    happen("signed_in")
    assert {row.act: 1 for row in Tally.objects.filter(kind="")} == {}, "what is not sealed is not counted"


def test_of_two_workers_one_counts(monkeypatch: Any) -> None:
    """The second one read where to begin before the first had ended."""
    happen("signed_in", kind="totp")
    seals.seal(timezone.now())
    assert tally.count(timezone.now()) == 1
    monkeypatch.setattr(Tallied.objects, "get_or_create", lambda **_: (Tallied(pk=1, seal=0), False))
    assert tally.count(timezone.now()) == 0, "the row has moved on"
    assert list(Tally.objects.values_list("events", flat=True)) == [1]


def test_people_and_devices_are_counted_as_they_are() -> None:
    make_person()
    make_person("totp")
    make_person("recovery", "temporary")
    make_person("totp", "fido2", "recovery")
    make_person("totp", is_active=False)
    for days in (-1, 10, 20, 80, 5000):
        make_token("hotp", valid_until=timezone.now() + timedelta(days=days))
    make_token("yubiotp")
    lost = make_token("hotp", make_person().user).device
    Device.objects.filter(pk=lost.pk).update(state=State.LOST)
    census.count(timezone.now())
    found = {(row.what, row.of): row.number for row in Count.objects.all() if row.number}
    assert found == {
        ("devices", "totp"): 3,
        ("devices", "fido2"): 1,
        ("devices", "recovery"): 2,
        ("devices", "temporary"): 1,
        ("people", "0"): 3,
        ("people", "1"): 1,
        ("people", "2"): 1,
        ("stock", "hotp"): 5,
        ("stock", "yubiotp"): 1,
        ("lost", "lost"): 1,
        ("ends", "over"): 1,
        ("ends", "30"): 2,
        ("ends", "90"): 1,
        ("ends", "later"): 1,
    }
    assert {of for what, of in Count.objects.values_list("what", "of") if what == "devices"} == set(Kind.values)


def test_a_day_has_its_last_count_and_the_worker_counts_once_an_hour() -> None:
    now = timezone.now().replace(hour=10, minute=0)
    make_person("totp")
    yesterday, census._rest = now - timedelta(days=1), {}
    assert census.take(yesterday) > 0
    make_person("totp")
    for minutes, counts in ((0, True), (1, False), (59, False), (62, True), (63, False)):
        assert bool(census.take(now + timedelta(minutes=minutes))) == counts, minutes
    days = Count.objects.filter(what="devices", of="totp").order_by("day").values_list("number", flat=True)
    assert list(days) == [1, 2]
    assert census.take in CHORES and tally.count in CHORES


def test_figures_say_what_happened() -> None:
    ada, erin = make_person("totp", "fido2"), make_person("sms")
    Api().sign_in(ada)
    Api().sign_in(ada, "fido2")
    Api().sign_in(erin, "sms")
    api = Api()
    handle = api.start(make := make_person("totp"))
    for _ in range(5):
        api.answer(handle, make.app, make.wrong_code())
    happen("code_not_sent", "NOT_SENT", kind="sms")
    happen("sign_in_cancelled")
    happen("sign_in_refused")  # as before the kind was written down
    census.count(timezone.now())
    counted()
    assert numbers("sign-ins") == {"TOTP": [1, 1], "FIDO2": [1, 0], "SMS": [1, 0], "Not known": [0, 1]}
    today = f"{timezone.now():%Y-%m-%d}"
    assert numbers("sign-ins-by-day", 7)[today] == [3, 2, 1] and len(numbers("sign-ins-by-day", 7)) == 7
    assert numbers("failures") == {"Code or key: code wrong": [5]}
    assert numbers("deliveries") == {"SMS": [1, 1], "E-mail": [0, 0]}
    assert numbers("factors") == {"None": [0], "One": [2], "Two or more": [1]}
    assert numbers("adoption") == {today: [2, 1, 1]}


def test_what_lies_before_the_days_is_not_shown() -> None:
    now = timezone.now()
    happen("signed_in", kind="totp")
    Event.objects.update(at=now - timedelta(days=20))
    counted()
    census.count(now - timedelta(days=20))
    assert [sum(map(sum, numbers("sign-ins", days).values())) for days in DAYS] == [0, 1, 1]
    assert [len(numbers("adoption", days)) for days in DAYS] == [0, 1, 1]


def test_the_page_draws_what_its_tables_say() -> None:
    Api().sign_in(make_person("totp"))
    make_token("hotp")
    client = browser(member("Auditor"))
    counted()
    for day in (0, 1, 2):
        census.count(timezone.now() - timedelta(days=day))
    text = client.get("/admin/dashboard/?days=7").content.decode()
    assert "style=" not in text and "<script" not in text.split('id="content-main"')[1]
    found = re.findall(r'(?s)<svg class="desk-chart" viewBox="0 0 4.*?</svg>', text)
    drawn = [ElementTree.fromstring(svg.replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1)) for svg in found]  # noqa: S314  # ours
    assert len(drawn) == 5, "factors, adoption, sign-ins twice, stock; nothing else happened"
    for svg in drawn:
        assert svg.get("role") == "img" and svg.find(f"{SVG}title") is not None and svg.find(f"{SVG}desc") is not None
        _x, _y, width, height = map(float, svg.get("viewBox", "").split())
        assert svg.findall(f"{SVG}rect")
        for rect in svg.findall(f"{SVG}rect"):
            x, y, wide, high = (float(rect.get(name, "")) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + wide <= width + 0.1 and 0 <= y <= y + high <= height + 0.1
    assert text.count("<details>") == 5 and text.count("Nothing yet.") == 3


def test_the_heights_are_in_proportion() -> None:
    figure = Figure("x", "X", "", "", ["a", "b"], [("1", [10, 30]), ("2", [0, 20])], by_day=True)
    drawn = charts.chart(figure)
    assert drawn is not None
    heights = [part.height for part in drawn.parts]
    assert heights[1] == 3 * heights[0] and heights[2] == 2 * heights[0] and [part.colour for part in drawn.parts] == [0, 1, 1]
    assert charts.chart(Figure("x", "X", "", "", ["a"], [("1", [0])])) is None


@pytest.mark.parametrize("days", ["0", "8", "-7", "x", "", "9" * 400, "٧"])
def test_other_times_are_malformed(days: str) -> None:
    assert browser(member("Helpdesk")).get("/admin/dashboard/", {"days": days}).status_code == 400


def test_what_a_look_costs() -> None:
    client = browser(member("Auditor"))
    for day in range(90):
        census.count(timezone.now() - timedelta(days=day))
    Tally.objects.bulk_create(
        Tally(day=timezone.now().date() - timedelta(days=day), act="signed_in", kind=kind, events=5)
        for day in range(90)
        for kind in Kind.values
    )
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/admin/dashboard/?days=90").status_code == 200
    assert len(captured) <= 6, [query["sql"][:100] for query in captured.captured_queries]


def test_counting_costs_the_same_however_many_there_are() -> None:
    User.objects.all().delete()
    for people in (1, 5):
        for _ in range(people):
            make_person("totp", "fido2")
        with CaptureQueriesContext(connection) as captured:
            census.count(timezone.now())
        assert len(captured) <= 10
