"""Searching the audit and taking it out: what fits is found and nothing else, in bounded time, and a stranger can check it."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import export, seals, search
from audit.events import OPERATOR, record
from audit.models import Event
from audit.search import Sought
from desk import exporting
from mfa_site.client import Client
from tests.conftest import Api, Person, code_of, make_person, make_token
from tests.test_admin import browser, post
from tests.test_roles import member

pytestmark = pytest.mark.django_db
HOW_TO = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "check-the-audit.md"
SOMEBODY, SOMETHING = UUID(int=7), UUID(int=8)


@pytest.fixture
def auditor(db: None) -> Person:
    return member("Auditor", username="vera")


@pytest.fixture
def page(auditor: Person) -> Any:
    """Vera's browser; the audit is empty."""
    client = browser(auditor)
    Event.objects.all().delete()
    return client


@pytest.fixture
def program(db: None) -> Api:
    """The program of another auditor; the audit is empty."""
    api = Api(Api().sign_in(member("Auditor"))["access_token"])
    Event.objects.all().delete()
    return api


def happen(act: str = "signed_in", *, address: str = "192.0.2.7", request: str = "request-1", **more: Any) -> Event:
    """The event is in the audit."""
    at = more.pop("at", None)
    record(act, client=Client(address, "Firefox/140.0 (X11; Linux)", request), **more)
    event = Event.objects.latest("id")
    if at:
        Event.objects.filter(pk=event.pk).update(at=at)
    return event


def ids(given: dict[str, str], api: Api) -> list[int]:
    """What the API finds, every page of it, two events at once."""
    found, after = [], ""
    while True:
        query = "&".join(
            f"{name}={value}" for name, value in {**given, "limit": "2", **({"after": after} if after else {})}.items()
        )
        answer = api.get(f"admin/audit-events?{query}")
        assert answer.status_code == 200, answer.content
        found += [event["id"] for event in answer.json()["events"]]
        if (after := answer.json()["next"]) is None:
            return found


def test_each_value_finds_what_fits_and_nothing_else(program: Api) -> None:
    ada, now = make_person("totp", username="ada"), timezone.now()
    token = make_token("hotp", ada.user, serial="AB-77").device
    old = happen("device_lost", person=ada.user.uuid, device=token.uuid, at=now - timedelta(days=40))
    wrong = happen("answer_refused", person=ada.user.uuid, reason="CODE_WRONG", address="2001:db8::1", request="request-2")
    done = happen("device_renamed", person=SOMEBODY, actor=OPERATOR, address="192.0.2.8")
    by_ada = happen("device_handed_out", person=SOMEBODY, actor=ada.user.uuid, device=SOMETHING)
    everything = [by_ada.id, done.id, wrong.id, old.id]
    day = f"{now - timedelta(days=1):%Y-%m-%d}"
    for given, expected in [
        ({}, everything),
        ({"person": "ADA"}, [wrong.id, old.id]),
        ({"person": str(ada.user.uuid)}, [wrong.id, old.id]),
        ({"device": "ab-77"}, [old.id]),
        ({"device": str(SOMETHING)}, [by_ada.id]),
        ({"actor": "ada"}, [by_ada.id, wrong.id, old.id]),
        ({"actor": "console"}, [done.id]),
        ({"act": "device_lost"}, [old.id]),
        ({"act": "device_*"}, [by_ada.id, done.id, old.id]),
        ({"act": "device"}, []),
        ({"result": "refused"}, [wrong.id]),
        ({"result": "code_wrong"}, [wrong.id]),
        ({"result": "done"}, [by_ada.id, done.id, old.id]),
        ({"address": "192.0.2.8"}, [done.id]),
        ({"address": "192.0.2.*"}, [by_ada.id, done.id, old.id]),
        ({"address": "2001:DB8:0::1"}, [wrong.id]),
        ({"request_id": "request-2"}, [wrong.id]),
        ({"since": day}, [by_ada.id, done.id, wrong.id]),
        ({"until": day}, [old.id]),
        ({"since": day, "person": "ada"}, [wrong.id]),
        ({"person": "ada", "device": "AB-77", "act": "device_*", "result": "done"}, [old.id]),
        ({"person": "ada", "device": str(SOMETHING)}, []),
        ({"actor": "ada", "address": "192.0.2.7"}, [by_ada.id, old.id]),
    ]:
        assert ids(given, program) == expected, given


def test_an_erased_address_is_found_no_more(program: Api) -> None:
    event = happen(address="192.0.2.99")
    assert ids({"address": "192.0.2.99"}, program) == [event.id]
    Event.objects.filter(pk=event.pk).update(personal=None)
    assert ids({"address": "192.0.2.99"}, program) == ids({"address": "192.0.2.9*"}, program) == []


def test_a_look_ends_however_rare_the_thing_is_and_the_next_goes_on(monkeypatch: Any) -> None:
    monkeypatch.setattr(search, "LOOKED_AT", 5)
    rare = happen(reason="CODE_WRONG")
    for number in range(12):
        happen("device_tested", request=f"request-{number:03d}")
    found, seen, looks = search.look(Sought(result="refused"), 50), [], 1
    while found.last:
        seen += found.events
        found, looks = search.look(Sought(result="refused"), 50, found.last), looks + 1
    assert [event.id for event in seen + found.events] == [rare.id] and looks == 3
    assert search.how_many(Sought(result="refused"), 10, looks=3) == 1
    with pytest.raises(Exception, match="MALFORMED"):
        search.how_many(Sought(result="refused"), 10, looks=2)
    assert search.how_many(Sought(act="device_tested"), 12, looks=1) == 12
    with pytest.raises(Exception, match="MALFORMED"):
        search.how_many(Sought(act="device_tested"), 11, looks=1)


def test_events_of_one_moment_are_walked_once_each(program: Api) -> None:
    now = timezone.now()
    made = [happen("device_tested", person=SOMEBODY, at=now).id for _ in range(7)]
    assert ids({"person": str(SOMEBODY)}, program) == made[::-1]
    assert ids({"person": str(SOMEBODY), "result": "done"}, program) == made[::-1]


@pytest.mark.parametrize(
    "query",
    [
        *(
            "person=nobody",
            "device=NONE",
            "actor=nobody",
            "act=a;b",
            "act=*x",
            "result=a-b",
            "address=localhost",
            "address=1*2",
        ),
        *("since=yesterday", "since=0001-01-01T00:00%2B14:00", "until=9999-12-31T23:59-14:00"),
        *("request_id=x", "after=1", f"after={UUID(int=1)}", "limit=0", "limit=501", "limit=x", "limit=%D9%A1", "what=1"),
        *("person=%00", f"person={'x' * 201}", "since=2026-13-01", "until=99999999999", "address=192.0.2.*.*"),
    ],
)
def test_what_is_no_filter_is_malformed(query: str, page: Any, program: Api) -> None:
    assert code_of(program.get(f"admin/audit-events?{query}")) == (400, "malformed")
    for path in ("/admin/audit/", "/admin/audit/export/"):
        assert page.get(f"{path}?{query}").status_code in (200, 400)


def test_the_page_says_what_is_wrong_at_its_field_and_keeps_what_was_typed(page: Any) -> None:
    shown = page.get("/admin/audit/?person=nobody&act=signed_in")
    assert shown.status_code == 400
    text = shown.content.decode()
    assert 'value="nobody"' in text and 'value="signed_in"' in text and 'aria-invalid="true"' in text
    assert "There is nobody by that name." in text and "<table" not in text


def test_the_page_tells_events_in_words_with_the_names_of_today(auditor: Person, page: Any) -> None:
    ada = make_person("totp", username="ada")
    token = make_token("hotp", ada.user, serial="AB-77").device
    happen("device_handed_out", person=ada.user.uuid, actor=auditor.user.uuid, device=token.uuid)
    happen("tokens_imported", actor=OPERATOR, count=3)
    happen("password_refused", person=ada.user.uuid, reason="BAD_CREDENTIALS")
    text = page.get("/admin/audit/").content.decode()
    for said in ("“HOTP (AB-77)” was handed out", "A token file was imported", "bad credentials", ">vera<", ">ada<", "console"):
        assert said in text, said
    assert "to you" not in text and "192.0.2.7" in text and "Firefox on Linux" in text


def test_the_chain_stands_on_the_page(page: Any) -> None:
    assert "Nothing is sealed yet" in page.get("/admin/audit/").content.decode()
    happen()
    assert seals.seal(timezone.now()) > 0
    happen()
    head, text = seals.newest(), page.get("/admin/audit/").content.decode()
    assert head and head.hash in text and f"Seal {head.number} of" in text
    assert seals.public_text(seals.signing_key().public_key()) in text


def test_pages_are_walked_and_keep_the_filter(page: Any) -> None:
    for _ in range(60):
        happen("device_tested", person=SOMEBODY)
    first = page.get(f"/admin/audit/?person={SOMEBODY}").content.decode()
    [older] = re.findall(r'rel="next" href="(\?[^"]*)"', first)
    assert f"person={SOMEBODY}" in older
    second = page.get(f"/admin/audit/{older.replace('&amp;', '&')}").content.decode()
    assert first.count("<tr>") == 51 and second.count("<tr>") == 11 and 'rel="next"' not in second


def test_helpdesk_sees_its_own_acts_and_not_those_of_others() -> None:
    hanna = member("Helpdesk", username="hanna")
    happen("device_resynced", person=SOMEBODY, actor=hanna.user.uuid)
    happen("device_lost", person=SOMEBODY, actor=SOMETHING)
    page = browser(hanna)
    assert page.get("/admin/audit/").status_code == 403
    text = page.get("/admin/audit/mine/").content.decode()
    assert "was lined up" in text and "reported lost" not in text and "/admin/audit/event/" not in text


def test_the_list_of_django_leads_to_the_search(page: Any) -> None:
    answer = page.get("/admin/audit/event/?act__exact=x")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/audit/")


@pytest.mark.parametrize("given", [*search.LEADING, ""])
def test_every_search_uses_its_index(given: str) -> None:
    """Also where a rarer value stands beside it; whatever the database's statistics say."""
    values: dict[str, Any] = {"person": SOMEBODY, "device": SOMETHING, "actor": SOMEBODY, "act": "x", "address": "::1"}
    sought = Sought(
        **{given: values.get(given, "request-1")} if given else {}, result="refused", since=datetime(2020, 1, 1, tzinfo=UTC)
    )
    with CaptureQueriesContext(connection) as captured:
        search.look(sought, 50)
    for query in captured.captured_queries:
        if query["sql"].startswith("SELECT"):
            with connection.cursor() as cursor:
                if connection.vendor == "postgresql":
                    cursor.execute("SET LOCAL enable_seqscan = off")
                    cursor.execute("SET LOCAL enable_bitmapscan = off")
                explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
                cursor.execute(f"{explain} {query['sql']}".replace("%", "%%"), [])
                plan = str(cursor.fetchall())
            assert f"event_{given or 'at'}" in plan, (given, plan)
            assert "TEMP B-TREE" not in plan and "Sort" not in plan, plan


# ---- taking it out -------------------------------------------------------------------------------------------------


def taken(page: Any, form: str, query: str = "") -> Any:
    """The file, by the page."""
    answer = post(page, f"/admin/audit/export/?{query}", form=form)
    assert answer.status_code == 200 and answer["Content-Disposition"].startswith("attachment; filename=")
    return answer


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_csv_has_what_fits_and_nothing_that_a_spreadsheet_carries_out(page: Any) -> None:
    happen("device_tested", person=SOMEBODY, address="")
    row = Event.objects.latest("id")
    Event.objects.filter(pk=row.pk).update(
        reason="=1+1", personal={"address": "@x", "user_agent": "-2\n+3"}, about={"why": '\tx,"'}
    )
    happen("device_lost", person=SOMETHING)
    lines = list(csv.reader(io.StringIO(content(taken(page, "csv", f"person={SOMEBODY}")).decode())))
    assert lines[0] == list(export.FIELDS) and len(lines) == 2
    said = dict(zip(*lines, strict=True))
    assert (said["reason"], said["address"], said["user_agent"]) == ("'=1+1", "'@x", "'-2\n+3")
    assert json.loads(said["about"]) == {"why": '\tx,"'}


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\ta", "\ra"])
def test_a_cell_that_begins_a_formula_is_text(text: str) -> None:
    assert export.harmless(text) == f"'{text}"
    assert export.harmless("a=1") == "a=1" and export.harmless(None) == ""


def test_json_lines_say_what_the_api_says(page: Any, program: Api) -> None:
    happen("device_lost", person=SOMEBODY, device=SOMETHING, sid=uuid4(), why="Left on the train")
    lines = [json.loads(line) for line in content(taken(page, "jsonl", f"person={SOMEBODY}")).splitlines()]
    assert lines == program.get(f"admin/audit-events?person={SOMEBODY}").json()["events"] and len(lines) == 1


def test_an_export_is_an_event_with_its_filter_and_no_address_in_clear(auditor: Person, page: Any) -> None:
    taken(page, "csv", "act=device_*&address=192.0.2.44&since=2026-01-01")
    event = Event.objects.latest("id")
    assert (event.act, event.actor, event.person) == ("audit_exported", auditor.user.uuid, None)
    assert event.about["filter"] == {"act": "device_*", "since": "2026-01-01T00:00:00+00:00"} | {
        "until": event.about["filter"]["until"]
    }
    assert event.about["form"] == "csv" and event.about["count"] == 0
    assert "192.0.2.44" not in json.dumps(event.about)


def test_an_export_needs_a_fresh_proof_and_the_permission(page: Any) -> None:
    from accounts.models import BrowserSession

    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(minutes=6))
    for answer in (page.get("/admin/audit/export/?person=vera"), post(page, "/admin/audit/export/?person=vera", form="csv")):
        assert answer.status_code == 302 and answer["Location"].startswith("/confirm/?next=")
        assert "person%3Dvera" in answer["Location"], "the filter comes back with the page"
    assert post(browser(member("Token desk")), "/admin/audit/export/", form="csv").status_code == 403
    assert not Event.objects.filter(act="audit_exported").exists()


def test_too_many_events_and_unknown_forms_are_refused(monkeypatch: Any, page: Any) -> None:
    monkeypatch.setattr(exporting, "MOST", 1)
    happen(), happen()
    answer = post(page, "/admin/audit/export/", form="csv")
    assert answer.status_code == 400 and b"Too many events" in answer.content
    monkeypatch.setattr(exporting, "MOST", 100)
    for form in ("", "xml", "\0"):
        assert post(page, "/admin/audit/export/", form=form).status_code == 400
    assert not Event.objects.filter(act="audit_exported").exists()


def test_no_export_page_or_answer_has_a_hash(page: Any, program: Api) -> None:
    Api().post("sign-ins", {"username": "nobody", "password": "wrong"})
    happen("tokens_imported", actor=OPERATOR, digest="d" * 64, count=1)
    taken(page, "csv", "address=192.0.2.1")
    event = Event.objects.filter(act="password_refused").latest("id")
    assert event.about["name"].startswith("v2."), "there is something to hide"
    seen = [content(taken(page, form)) for form in ("csv", "jsonl")]
    seen.append(zipfile.ZipFile(io.BytesIO(content(taken(page, "signed")))).read("events.jsonl"))
    seen.append(program.get("admin/audit-events").content)
    seen += [page.get(path).content for path in ("/admin/audit/", "/admin/audit/mine/")]
    seen += [page.get(f"/admin/audit/event/{row.pk}/change/").content for row in Event.objects.all()]
    for text in seen:
        assert len(text) > 100 and b"v2." not in text and b"d" * 64 not in text and b"mac" not in text.lower()


def test_a_stranger_checks_a_signed_export_as_the_how_to_says(tmp_path: Path, page: Any) -> None:
    """With nothing but the file, and the public key from elsewhere: the very commands of the document."""
    events = [happen("device_tested", person=SOMEBODY).id for _ in range(3)]
    seals.seal(timezone.now())
    (tmp_path / "audit.zip").write_bytes(content(taken(page, "signed", f"person={SOMEBODY}")))
    told = io.StringIO()
    call_command("verify_audit", "--public-key", stdout=told)
    (tmp_path / "audit.pem").write_text(told.getvalue())
    recipe = re.findall(r"(?s)```sh\n(.*?)```", HOW_TO.read_text())
    script = re.findall(r"(?s)```python\n(.*?)```", HOW_TO.read_text())
    assert len(recipe) == len(script) == 1
    (tmp_path / "check.py").write_text(script[0])
    shutil.unpack_archive(tmp_path / "audit.zip", tmp_path)
    for command in (["sh", "-euc", recipe[0]], [sys.executable, "check.py"]):
        assert run(command, tmp_path).returncode == 0, run(command, tmp_path)
    first, _, rest = (tmp_path / "statement.txt").read_text().partition("\n")
    said, head = json.loads(rest), seals.newest()
    assert first == "mfa_site audit export 1" and head
    assert (said["events"], said["first_id"], said["last_id"]) == (3, events[0], events[-1])
    assert said["chain"]["head"] == head.hash and said["by"]["username"] == "vera"
    assert said["filter"]["person"] == str(SOMEBODY)
    for name in ("events.jsonl", "statement.txt", "statement.sig", "audit.pem"):
        before = (tmp_path / name).read_bytes()
        for changed in (before[:-2] + bytes([before[-2] ^ 1]) + before[-1:], before[: len(before) // 2]):
            (tmp_path / name).write_bytes(changed)
            for command in (["sh", "-euc", recipe[0]], [sys.executable, "check.py"]):
                if name != "audit.pem" or changed != before[:-2] + bytes([before[-2] ^ 1]) + before[-1:]:  # not of the key
                    assert run(command, tmp_path).returncode != 0, (name, command)
        (tmp_path / name).write_bytes(before)


def run(command: list[str], where: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=where, capture_output=True, check=False)


def test_the_public_key_is_the_one_that_is_logged_and_shown() -> None:
    told = io.StringIO()
    call_command("verify_audit", "--public-key", stdout=told)
    key: Any = load_pem_public_key(told.getvalue().encode())
    assert seals.public_text(key) == seals.public_text(seals.signing_key().public_key())


def test_an_empty_export_is_signed_too(page: Any) -> None:
    file = zipfile.ZipFile(io.BytesIO(content(taken(page, "signed", f"person={SOMEBODY}"))))
    said = json.loads(file.read("statement.txt").split(b"\n", 1)[1])
    assert (said["events"], said["first_id"], said["chain"]) == (0, None, None) and file.read("events.jsonl") == b""


def test_what_a_large_export_costs(page: Any) -> None:
    """A statement for a thousand events, and those in memory alone."""
    happen("device_tested", person=SOMEBODY)
    first = Event.objects.latest("id")
    Event.objects.bulk_create(
        Event(id=10_000 + n, act=first.act, person=SOMEBODY, at=first.at, about={}, mac="x", personal=first.personal)
        for n in range(5000)
    )
    import tracemalloc

    answer = taken(page, "jsonl", f"person={SOMEBODY}")
    tracemalloc.start()
    with CaptureQueriesContext(connection) as captured:
        lines = sum(chunk.count(b"\n") for chunk in answer.streaming_content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == 5001 and len(captured) <= 12, "a page and its place for each thousand"
    assert peak < 12_000_000


def test_what_the_pages_cost(auditor: Person, page: Any) -> None:
    for _ in range(60):
        happen("device_tested", person=auditor.user.uuid, device=SOMETHING)
    page.get("/admin/audit/")
    for path, most in (("/admin/audit/", 12), ("/admin/audit/?person=vera&result=done", 14), ("/admin/audit/mine/", 8)):
        with CaptureQueriesContext(connection) as captured:
            assert page.get(path).status_code == 200
        assert len(captured) <= most, [query["sql"][:100] for query in captured.captured_queries]
