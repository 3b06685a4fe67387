"""Token files over pages and API: looked at, imported, undone; nothing of them is anywhere in clear."""

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import handing_out, prune
from accounts.models import User
from audit.events import OPERATOR
from audit.models import Event
from desk import importing, previews
from desk.models import Approval, Batch, Part
from devices import oath, queue
from devices.lifecycle import State
from devices.models import Device
from mfa_site import keyring, rotation
from mfa_site.client import Client
from tests import dump
from tests import seed_writer as write
from tests.conftest import Api, Person, code_of, make_person
from tests.seed_writer import seed
from tests.test_import_tokens import FOLDER, PSK, line, pskc, run
from tests.test_roles import member, signed_in

pytestmark = pytest.mark.django_db(transaction=True)  # the worker closes its connection
HERE = Client("", "", "")


def file(*lines: str, name: str = "tokens.csv") -> SimpleUploadedFile:
    """A file of these lines."""
    return SimpleUploadedFile(name, "\n".join(lines).encode())


def three() -> SimpleUploadedFile:
    return file(line(1), line(2, kind="hotp", last="7"), line(3))


@pytest.fixture
def tess() -> Person:
    return member("Token desk", username="tess")


# ---- over the API ----------------------------------------------------------------------------------------------------


@pytest.fixture
def api(tess: Person) -> Api:
    return Api(Api().sign_in(tess)["access_token"])


def send(api: Api, content: Any, query: str = "", **fields: Any) -> Any:
    """The answer to a multipart call with this file."""
    more: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {api.bearer}"} if api.bearer else {}
    if api.csrf:
        more["HTTP_X_CSRFTOKEN"] = api.csrf
    given = fields if content is None else {"file": content, **fields}
    return api.client.post(f"/api/v1/admin/token-files{query}", given, **more)


def told(answer: Any) -> list[tuple[int, str, str]]:
    """The rows that the answer refuses."""
    assert len(answer.json()["refused"]) == answer.json()["refused_count"]
    return [(row["row"], row["serial"], row["reason"]) for row in answer.json()["refused"]]


def test_a_csv_file_is_in_stock_with_one_call(api: Api, tess: Person) -> None:
    answer = send(api, three())
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert (found["accepted"], found["skipped"], found["replaced"], told(answer)) == (3, 0, 0, [])
    rows = list(Device.objects.filter(batch=found["batch"]).order_by("serial"))
    assert [(row.serial, row.state, row.seed) for row in rows] == [(f"A{n}", State.IN_STOCK, seed(n)) for n in (1, 2, 3)]
    assert rows[1].counter == 6
    batch = Batch.objects.get()
    assert (str(batch.uuid), batch.state, batch.by, batch.file_name) == (found["batch"], "done", tess.user.uuid, "tokens.csv")
    assert batch.asked_from is None and not Part.objects.exists()
    event = Event.objects.get(act="tokens_imported")
    assert event.actor == tess.user.uuid and event.about["batch"] == found["batch"] and event.about["count"] == 3
    assert (event.personal or {})["address"] == "127.0.0.1", "of who asked"


@pytest.mark.parametrize(
    ("name", "fields", "serial"),
    [
        ("rfc6030-figure6.xml", {"key": "12345678901234567890123456789012"}, "987654321"),
        ("rfc6030-figure7.xml", {"passphrase": "qwerty"}, "987654321"),
    ],
)
def test_an_encrypted_file_opens_with_what_came_with_it(api: Api, name: str, fields: Any, serial: str) -> None:
    content = SimpleUploadedFile(name, (FOLDER / name).read_bytes())
    answer = send(api, content, **fields)
    assert answer.status_code == 200, answer.content
    assert Device.objects.get(serial=serial).seed == b"12345678901234567890"
    content.seek(0)
    assert code_of(send(api, content)) == (422, "refused_rows")


def test_what_refuses_the_whole_file_is_told_as_row_0(api: Api) -> None:
    encrypted = SimpleUploadedFile("t.xml", (FOLDER / "rfc6030-figure6.xml").read_bytes())
    assert told(send(api, encrypted)) == [(0, "", "key_needed")]
    encrypted.seek(0)
    assert told(send(api, encrypted, "?dry_run=true")) == [(0, "", "key_needed")]
    assert told(send(api, file("serial,key,type,digits,period"))) == [(0, "", "file_empty")]
    assert not Batch.objects.exists()


def test_one_bad_row_refuses_all_of_it_and_nothing_is_kept(api: Api) -> None:
    before = Event.objects.count()
    bad = [line(1), line(2, "=1+1"), "A3,3132,totp,6,30"]
    answer = send(api, file(*bad))
    assert code_of(answer) == (422, "refused_rows")
    assert told(answer) == [(2, "", "serial_formula"), (3, "A3", "seed_too_short")]
    dry = send(api, file(*bad), "?dry_run=true")
    assert dry.status_code == 200 and dry.json()["accepted"] == 0 and told(dry) == told(answer)
    assert not Device.objects.filter(state=State.IN_STOCK).exists() and not Batch.objects.exists()
    assert not Part.objects.exists() and Event.objects.count() == before
    assert send(api, file(line(1), line(2))).status_code == 200, "the corrected file"


def test_a_dry_run_judges_and_changes_nothing(api: Api) -> None:
    answer = send(api, three(), "?dry_run=true")
    assert answer.json() == {"batch": None, "accepted": 3, "skipped": 0, "replaced": 0, "refused": [], "refused_count": 0}
    assert not Device.objects.filter(state=State.IN_STOCK).exists() and not Batch.objects.exists()


def test_refused_rows_are_counted_and_the_first_thousand_told(api: Api) -> None:
    answer = send(api, file(*(f"A{n},00,totp,6,30" for n in range(1_250))))
    assert answer.json()["refused_count"] == 1_250 and len(answer.json()["refused"]) == 1_000


def test_known_serials_are_refused_skipped_or_replaced(api: Api) -> None:
    send(api, three())
    new, other = file(line(1), line(9, "A2"), line(5)), Device.objects.get(serial="A2")
    refused = send(api, new)
    assert told(refused) == [(1, "A1", "serial_known"), (2, "A2", "serial_known")]
    new.seek(0)
    skipped = send(api, new, existing="skip").json()
    assert (skipped["accepted"], skipped["skipped"], skipped["replaced"]) == (1, 2, 0)
    assert Device.objects.get(pk=other.pk).seed == seed(2), "it stays as it is"
    replaced = send(api, file(line(1), line(9, "A2"), line(6)), existing="replace").json()
    assert (replaced["accepted"], replaced["skipped"], replaced["replaced"]) == (3, 0, 2)
    old = Device.objects.get(pk=other.pk)
    assert (old.state, old.secret, old.secret_hash) == (State.RETIRED, "", "")
    assert Device.objects.get(serial="A2", state=State.IN_STOCK).seed == seed(9)


def test_only_what_is_in_stock_is_replaced_and_no_key_that_another_has(api: Api) -> None:
    send(api, three())
    ada = make_person("totp", username="ada").user
    handing_out.hand_out(Device.objects.get(serial="A1"), ada, HERE, timezone.now(), actor=OPERATOR)
    answer = send(api, file(line(11, "A1"), line(1, "A2"), line(3)), existing="replace")
    assert told(answer) == [(1, "A1", "not_in_stock"), (2, "A2", "seed_known")], "the third could be"
    assert send(api, file(line(11, "A1"), line(4)), existing="skip").json()["skipped"] == 1
    assert Device.objects.get(serial="A1").user == ada


def test_a_token_that_comes_in_once_more_keeps_its_counter(api: Api) -> None:
    send(api, three())
    Device.objects.filter(serial="A2").update(counter=40, drift=3)
    send(api, file(line(2, kind="hotp", last="7")), existing="replace")
    row = Device.objects.get(serial="A2", state=State.IN_STOCK)
    assert (row.counter, row.drift) == (40, 3), "or its used codes would be good once more"
    send(api, file(line(22, "A2", kind="hotp", last="7")), existing="replace")
    assert Device.objects.get(serial="A2", state=State.IN_STOCK).counter == 6, "another key"


def test_whom_a_row_may_name(api: Api, tess: Person) -> None:
    ada, root = make_person(username="ada").user, make_person("totp", username="root", is_staff=True, is_superuser=True)
    head = "upn,serial number,secret key,time interval,manufacturer,model"

    def owned(*names: str) -> SimpleUploadedFile:
        return file(head, *(f"{name},E{n},{oath.base32(seed(n))},30,Acme,T1" for n, name in enumerate(names)))

    answer = send(api, owned("ada", "root", "tess", "nobody"))
    expected = [(3, "E1", "owner_not_yours"), (4, "E2", "owner_not_yours"), (5, "E3", "owner_unknown")]
    assert told(answer) == expected, "who knows a key must not give it to who is higher, nor to himself"
    assert send(api, owned("ada")).json()["accepted"] == 1
    handed = Event.objects.get(act="device_handed_out")
    assert (handed.person, handed.actor) == (ada.uuid, tess.user.uuid)
    assert send(Api(Api().sign_in(root)["access_token"]), owned("nobody", "root")).status_code == 422
    group = Group.objects.get(name="Token desk")
    group.permissions.remove(group.permissions.get(codename="hand_out_token"))
    assert told(send(api, owned("nobody", "ada"))) == [(2, "E0", "serial_known"), (3, "E1", "owner_not_yours")]


@pytest.mark.parametrize(
    ("fields", "query", "expected"),
    [
        ({"colour": "blue"}, "", (400, "unknown_field")),
        ({"format": "xls"}, "", (400, "malformed")),
        ({"existing": "keep"}, "", (400, "malformed")),
        ({"existing": ["skip", "skip"]}, "", (400, "malformed")),
        ({"key": "00", "passphrase": "x"}, "", (400, "malformed")),
        ({}, "?dry_run=maybe", (400, "malformed")),
        ({}, "?wet_run=true", (400, "malformed")),
        ({"other": file("x")}, "", (400, "malformed")),
        ({"file": "text"}, "", (400, "malformed")),
        ({"passphrase": "x" * 70_000}, "", (413, "too_large")),
        ({"format": "pskc\0"}, "", (400, "malformed")),
    ],
)
def test_what_is_no_such_call(api: Api, fields: Any, query: str, expected: tuple[int, str]) -> None:
    content = None if "file" in fields else three()
    found = code_of(send(api, content, query, **fields))
    assert found == expected or (expected[0] == 413 and found in ((400, "malformed"), (413, "too_large")))
    assert not Device.objects.filter(state=State.IN_STOCK).exists() and not Batch.objects.exists()


def test_another_content_type_a_broken_body_and_too_much(api: Api) -> None:
    path, more = "/api/v1/admin/token-files", dict[str, Any](HTTP_AUTHORIZATION=f"Bearer {api.bearer}")
    assert code_of(api.post("admin/token-files", {"file": "x"})) == (415, "unsupported_media_type")
    kind = "multipart/form-data; boundary=BoUnDaRy"
    for body in (b"--BoUnDaRy", b"x" * 999, b"--BoUnDaRy\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n"):
        assert code_of(api.client.post(path, body, content_type=kind, **more)) == (400, "malformed"), body
    assert code_of(api.client.post(path, b"x", content_type="multipart/form-data", **more)) == (400, "malformed")
    large = f"{64 * 2**20 + 64 * 1024 + 1}"
    assert code_of(api.client.post(path, b"x", content_type=kind, **more, CONTENT_LENGTH=large)) == (413, "too_large")
    json_too = f"{64 * 1024 + 1}"
    assert api.client.post(path, b"{}", content_type="application/json", **more, CONTENT_LENGTH=json_too).status_code == 413


def test_64_mib_are_taken_here_and_more_is_not(api: Api) -> None:
    comment = b"#" + b"x" * 4000 + b"\n"
    whole = line(1).encode() + b"\n" + comment * (64 * 2**20 // len(comment))
    whole += b"#" * (64 * 2**20 - len(whole))
    answer = send(api, SimpleUploadedFile("t.csv", whole), "?dry_run=true")
    assert answer.json()["accepted"] == 1
    assert told(send(api, SimpleUploadedFile("t.csv", whole + b"\n"), "?dry_run=true")) == [(0, "", "file_too_large")]


def test_who_may_not_import_is_refused_before_the_body_is_read() -> None:
    for person, code in ((member("Helpdesk"), "not_permitted"), (make_person("totp"), "not_permitted")):
        browser = Api()
        browser.take_csrf()
        browser.sign_in(person, grant="session")
        browser.take_csrf()
        body = _Unread(three().read())
        raw: dict[str, Any] = {"wsgi.input": body, "CONTENT_LENGTH": "1000"}
        answer = browser.client.generic(
            "POST",
            "/api/v1/admin/token-files",
            content_type="multipart/form-data; boundary=x",
            headers={"X-CSRFToken": browser.csrf},
            **raw,
        )
        assert code_of(answer) == (403, code) and not body.was_read
        path = reverse("admin:import")
        answer = browser.client.generic("POST", path, content_type="multipart/form-data; boundary=x", **raw)
        assert answer.status_code == 403 and not body.was_read


class _Unread(io.BytesIO):
    """A body that remembers whether somebody looked."""

    was_read = False

    def read(self, *size: Any) -> bytes:
        self.was_read = True
        return super().read(*size)


def test_with_the_cookie_the_header_is_needed(tess: Person) -> None:
    browser = Api()
    browser.take_csrf()
    browser.sign_in(tess, grant="session")
    browser.csrf = ""
    assert code_of(send(browser, three())) == (403, "csrf_failed")
    browser.take_csrf()
    assert send(browser, three()).json()["accepted"] == 3


def test_a_proof_that_is_too_old_opens_nothing(tess: Person) -> None:
    from accounts.models import BrowserSession

    browser = signed_in(tess)
    BrowserSession.objects.update(auth_time=timezone.now() - timedelta(minutes=6))
    assert browser.get(reverse("admin:import"))["Location"].startswith("/confirm/"), "before the file is chosen"
    answer = upload(browser, three())
    assert answer["Location"].startswith("/confirm/") and not Batch.objects.exists()


# ---- undone ----------------------------------------------------------------------------------------------------------


def undo(api: Api, batch: str) -> Any:
    return api.call("DELETE", f"admin/token-files/{batch}")


def test_an_import_is_undone_once_and_its_file_may_come_again(api: Api, tess: Person) -> None:
    batch = send(api, three()).json()["batch"]
    assert undo(api, batch).status_code == 204
    assert not Device.objects.filter(state=State.IN_STOCK).exists() and not Device.objects.exclude(serial="").exclude(secret="")
    event = Event.objects.get(act="import_undone")
    assert (event.actor, event.about) == (tess.user.uuid, {"batch": batch, "count": 3})
    assert code_of(undo(api, batch)) == (409, "wrong_state")
    assert send(api, three()).json()["accepted"] == 3


@pytest.mark.parametrize("how", ["handed out", "used", "retired", "replaced"])
def test_it_is_not_undone_after_one_token_has_gone(api: Api, how: str) -> None:
    batch = send(api, three()).json()["batch"]
    row, now = Device.objects.get(serial="A2"), timezone.now()
    if how == "handed out":
        handing_out.hand_out(row, make_person("totp").user, HERE, now, actor=OPERATOR)
    elif how == "used":
        Device.objects.filter(pk=row.pk).update(last_used_at=now)
    elif how == "retired":
        row.retire()
    else:
        assert send(api, file(line(8, "A2")), existing="replace").status_code == 200
    assert code_of(undo(api, batch)) == (409, "wrong_state")
    assert Device.objects.filter(serial__in=("A1", "A3"), state=State.IN_STOCK).count() == 2
    assert not Event.objects.filter(act="import_undone").exists()


def test_undoing_takes_one_statement_for_the_devices(api: Api) -> None:
    batch = send(api, three()).json()["batch"]
    with CaptureQueriesContext(connection) as captured:
        assert undo(api, batch).status_code == 204
    updates = [query["sql"] for query in captured.captured_queries if query["sql"].startswith('UPDATE "devices_device"')]
    assert len(updates) == 1 and "SELECT" not in updates[0]


def test_what_the_command_imported_is_undone_too(api: Api, tmp_path: Any) -> None:
    path = tmp_path / "=tokens.csv"
    path.write_text("\n".join([line(1), line(2)]))
    found = run(str(path))
    batch = Batch.objects.get()
    assert (batch.file_name, batch.by, batch.accepted, str(batch.uuid)) == ("tokens.csv", OPERATOR, 2, found["batch"])
    assert run(str(path), "--existing", "skip")["skipped"] == 2
    assert run(str(path), "--existing", "replace")["replaced"] == 2
    assert code_of(undo(api, found["batch"])) == (409, "wrong_state"), "others have taken their place"
    last = Batch.objects.order_by("-pk")[0]
    assert last.replaced == 2 and undo(api, str(last.uuid)).status_code == 204


# ---- on pages --------------------------------------------------------------------------------------------------------


def post(browser: Any, path: str, **form: Any) -> Any:
    return browser.post(path, {**form, "csrfmiddlewaretoken": browser.cookies["csrftoken"].value})


def upload(browser: Any, content: Any, **form: Any) -> Any:
    return post(browser, reverse("admin:import"), file=content, **form)


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def previewed(browser: Any, content: Any, **form: Any) -> Any:
    """The page to which the upload leads."""
    answer = upload(browser, content, **form)
    assert answer.status_code == 302, text(answer)
    return answer["Location"], browser.get(answer["Location"])


def imported(browser: Any, path: str, **form: Any) -> Any:
    """The result of the import that the worker has carried out."""
    assert post(browser, path, **form).status_code == 302
    waiting = browser.get(path)
    assert waiting["Refresh"] == "2" and "Waiting" in text(waiting)
    queue.drain("test")
    return browser.get(path)


def test_a_bad_row_is_named_in_the_preview_and_the_corrected_file_is_imported(tess: Person) -> None:
    browser = signed_in(tess)
    path, page = previewed(browser, file(line(1), line(2, last="45"), line(3, "-5")))
    assert "The period is not 30 or 60 seconds." in text(page) and "begins like a formula" in text(page)
    assert "2 rows are refused" in text(page) and "Import 3 rows" not in text(page)
    assert not Part.objects.exclude(sealed="").exists(), "what cannot be imported is not kept"
    assert post(browser, path).status_code == 302
    queue.drain("test")
    assert "cannot be started" in text(browser.get(path)) and Batch.objects.get().state == "previewed"
    path, page = previewed(browser, three())
    assert all(part in text(page) for part in ("A1", "totp", "30 seconds", "hotp", "from 7 on", "sha1"))
    done = imported(browser, path)
    assert "3 tokens were imported." in text(done) and "tess" in text(done)
    assert Device.objects.filter(state=State.IN_STOCK).count() == 3
    assert not Part.objects.exclude(sealed="").exists()
    assert "tokens.csv" in text(browser.get(reverse("admin:import")))
    undone = post(browser, reverse("admin:import-undo", args=[Batch.objects.get(state="done").uuid]))
    assert "The import was undone" in text(browser.get(undone["Location"]))
    again = post(browser, reverse("admin:import-undo", args=[Batch.objects.get(state="undone").uuid]))
    assert "cannot be undone" in text(browser.get(again["Location"]))


def test_an_encrypted_pskc_file_with_its_key(tess: Person) -> None:
    browser = signed_in(tess)
    content = SimpleUploadedFile("t.xml", pskc(3))
    answer = upload(browser, content)
    assert answer.status_code == 422 and "encrypted with a pre-shared key" in text(answer)
    content.seek(0)
    both = upload(browser, content, key=PSK.hex(), passphrase="much-too-much")
    assert both.status_code == 400 and "not several of them" in text(both)
    assert PSK.hex() not in both.content.decode() and "much-too-much" not in both.content.decode()
    content.seek(0)
    path, _page = previewed(browser, content, key=PSK.hex())
    assert "3 tokens were imported." in text(imported(browser, path))
    assert Device.objects.get(serial="P0").seed == seed(0)


@pytest.mark.parametrize("choice", ["skip", "replace"])
def test_known_serials_wait_for_a_choice(tess: Person, choice: str) -> None:
    browser = signed_in(tess)
    imported(browser, previewed(browser, three())[0])
    path, page = previewed(browser, file(line(1), line(4)))
    assert "There is a device with this serial already." in text(page) and "Replace the tokens in stock" in text(page)
    post(browser, path)
    assert "Choose what becomes of the serials" in text(browser.get(path))
    done = imported(browser, path, existing=choice)
    assert Batch.objects.order_by("-pk")[0].accepted == (1 if choice == "skip" else 2)
    report = body_of(browser.get(reverse("admin:import-report", args=[path.split("/")[-2]])))
    assert list(csv.reader(io.StringIO(report)))[1][:3] == ["1", "A1", "Skipped" if choice == "skip" else "Replaced"]
    assert "as CSV" in text(done)


def body_of(answer: Any) -> str:
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/csv")
    return b"".join(answer.streaming_content).decode()


def test_what_is_not_in_stock_can_only_be_skipped(tess: Person) -> None:
    browser = signed_in(tess)
    imported(browser, previewed(browser, three())[0])
    handing_out.hand_out(Device.objects.get(serial="A1"), make_person("totp").user, HERE, timezone.now(), actor=OPERATOR)
    path, page = previewed(browser, file(line(1), line(4)))
    assert "Replace the tokens in stock" not in text(page) and "not in stock" in text(page)
    post(browser, path, existing="replace")
    assert "cannot be started" in text(browser.get(path))
    assert post(browser, path, existing="keep").status_code == 400
    assert "1 token was imported." in text(imported(browser, path, existing="skip"))


def test_the_report_has_every_refused_row_and_no_formula(tess: Person) -> None:
    browser = signed_in(tess)
    path, _page = previewed(browser, file(*(line(n, last="45") for n in range(250)), line(999, "=2+5"), name='=cmd|".csv'))
    rows = list(csv.reader(io.StringIO(body_of(browser.get(f"{path}report.csv")))))
    assert rows[0] == ["Row", "Serial", "Result", "Reason"] and len(rows) == 252
    assert rows[1] == ["1", "A0", "Refused", "The period is not 30 or 60 seconds."] and rows[251][1] == ""
    assert Batch.objects.get().file_name == 'cmd|".csv'
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert previews.line(["=1", 5, "a\r\nb"]) == '\'=1,5,"a\r\nb"\r\n'


def test_pages_of_the_preview_have_the_refused_rows_first(tess: Person) -> None:
    browser = signed_in(tess)
    path, first = previewed(browser, file(*(line(n) for n in range(250)), line(999, last="45")))
    assert "Rows: Refused" in text(first) and "page 1 of 4" in text(first) and "A999" in text(first)
    last = text(browser.get(f"{path}?page=4"))
    assert "A249" in last and "A99 " not in last
    for number in ("0", "5", "x", "99999999999", "-1", "1\0"):
        assert browser.get(path, {"page": number}).status_code in (400, 404), number


def test_others_neither_see_nor_start_nor_forget_a_preview(tess: Person) -> None:
    browser, other = signed_in(tess), signed_in(member("Token desk", "Security administrator"))
    path, _page = previewed(browser, three())
    for call in (other.get(path), other.get(f"{path}report.csv")):
        assert call.status_code == 404
    for action in ("", "cancel/", "undo/"):
        assert post(other, f"{path}{action}", existing="skip").status_code == 404, action
    assert "tokens.csv" not in text(other.get(reverse("admin:import")))
    root = Api(Api().sign_in(make_person("totp", is_staff=True, is_superuser=True))["access_token"])
    assert code_of(undo(root, path.split("/")[-2])) == (404, "not_found")
    done = imported(browser, path)
    assert "3 tokens were imported." in text(done)
    assert "3 tokens were imported." in text(other.get(path)), "the record of it is for all who import"


def test_a_preview_ends_after_a_quarter_of_an_hour(tess: Person) -> None:
    browser = signed_in(tess)
    path, _page = previewed(browser, three())
    Batch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    Part.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert browser.get(path).status_code == 404 and post(browser, path).status_code == 404
    queue.drain("test")
    assert not Device.objects.filter(state=State.IN_STOCK).exists()
    assert prune.everything(timezone.now())["token_files"] == 1 and not Part.objects.exists()


def test_what_is_imported_is_not_pruned_and_its_report_is_after_a_week(tess: Person) -> None:
    browser = signed_in(tess)
    imported(browser, previewed(browser, three())[0])
    path, _page = previewed(browser, three())
    imported(browser, path, existing="skip")
    for days, left in ((6, 1), (8, 0)):
        prune.everything(timezone.now() + timedelta(days=days))
        assert Part.objects.count() == left and Batch.objects.count() == 2


def test_a_preview_is_forgotten_when_somebody_says_so(tess: Person) -> None:
    browser = signed_in(tess)
    path, _page = previewed(browser, three())
    assert post(browser, f"{path}cancel/")["Location"] == reverse("admin:import")
    assert not Batch.objects.exists() and not Part.objects.exists() and browser.get(path).status_code == 404


def test_an_import_that_was_started_is_neither_started_again_nor_forgotten(tess: Person) -> None:
    browser = signed_in(tess)
    path, _page = previewed(browser, three())
    post(browser, path)
    for action in ("", "cancel/"):
        post(browser, f"{path}{action}")
        assert "started already" in text(browser.get(path))
    queue.drain("test")
    importing.run(Batch.objects.get().uuid)
    assert Device.objects.filter(state=State.IN_STOCK).count() == 3 and Event.objects.filter(act="tokens_imported").count() == 1


def test_what_changed_between_preview_and_import_is_told(tess: Person) -> None:
    browser = signed_in(tess)
    first, second = (previewed(browser, three())[0] for _ in range(2))
    assert "3 tokens were imported." in text(imported(browser, first))
    failed = imported(browser, second)
    assert "did not succeed" in text(failed) and "3 rows were refused" in text(failed)
    assert "There is a device with this serial already." in body_of(browser.get(f"{second}report.csv"))
    assert Batch.objects.count() == 2 and not Part.objects.exclude(sealed="").exists()
    prune.everything(timezone.now() + timedelta(days=2))
    assert Batch.objects.get().state == "done"


@pytest.mark.parametrize("how", ["disabled", "no role"])
def test_who_lost_the_right_meanwhile_imports_nothing(tess: Person, how: str) -> None:
    browser = signed_in(tess)
    path, _page = previewed(browser, three())
    post(browser, path)
    if how == "disabled":
        User.objects.filter(pk=tess.user.pk).update(is_active=False)
    else:
        tess.user.groups.clear()
    queue.drain("test")
    assert Batch.objects.get().state == "failed" and not Device.objects.filter(state=State.IN_STOCK).exists()
    assert not Part.objects.exists()


def test_a_part_that_was_changed_or_is_gone_imports_nothing(tess: Person) -> None:
    browser = signed_in(tess)
    for how in ("gone", "changed"):
        path, _page = previewed(browser, file(*(line(n) for n in range(150))))
        post(browser, path)
        part = Part.objects.order_by("-pk")[0]
        if how == "gone":
            part.delete()
            queue.drain("test")
        else:
            Part.objects.filter(pk=part.pk).update(sealed=Part.objects.exclude(pk=part.pk).latest("pk").sealed)
            queue.drain("test")
        assert "did not succeed" in text(browser.get(path)), how
        assert not Device.objects.filter(state=State.IN_STOCK).exists()


def test_rotated_keys_open_what_waits(tess: Person) -> None:
    browser = signed_in(tess)
    path, _page = previewed(browser, three())
    assert "desk_part.sealed" in {column.place for column in rotation.reseal()}
    assert "3 tokens were imported." in text(imported(browser, path))


# ---- four eyes -------------------------------------------------------------------------------------------------------


def test_by_setting_another_administrator_approves_this_very_file(tess: Person, settings: Any) -> None:
    settings.FOUR_EYES = frozenset({"import"})
    browser, other = signed_in(tess), signed_in(member("Security administrator"))
    path, _page = previewed(browser, three())
    post(browser, path)
    assert "upload the same file once more" in text(browser.get(path))
    row, shown = Approval.objects.get(), text(other.get(reverse("admin:approvals")))
    assert "Import a token file" in shown and "tokens.csv" in shown and Batch.objects.get().digest in shown
    queue.drain("test")
    assert not Device.objects.filter(state=State.IN_STOCK).exists()
    post(other, reverse("admin:approvals"), approval=str(row.uuid), decision="approve")
    another, _page = previewed(browser, file(line(7)))
    post(browser, another)
    assert "Another administrator" in text(browser.get(another)), "that is another file"
    post(browser, f"{path}cancel/")
    path, _page = previewed(browser, three())
    assert "3 tokens were imported." in text(imported(browser, path))
    batch = Batch.objects.get(state="done")
    post(browser, reverse("admin:import-undo", args=[batch.uuid]))
    path, _page = previewed(browser, three())
    post(browser, path)
    assert Batch.objects.get(uuid=path.split("/")[-2]).state == "previewed", "approved once, used once"


def test_over_the_api_nothing_is_left_of_a_file_that_waits_for_approval(api: Api, settings: Any) -> None:
    settings.FOUR_EYES = frozenset({"import"})
    assert code_of(send(api, three())) == (409, "approval_needed")
    assert not Batch.objects.exists() and Approval.objects.count() == 1
    assert send(api, three(), "?dry_run=true").json()["accepted"] == 3


def test_no_file_gives_an_administrator_what_another_has_to_approve(settings: Any) -> None:
    root = make_person("totp", is_staff=True, is_superuser=True)
    make_person(username="ada", is_staff=True)
    api = Api(Api().sign_in(root)["access_token"])
    rows = file("upn,serial number,secret key,time interval,manufacturer,model", f"ada,E1,{oath.base32(seed(1))},30,Acme,T1")
    assert send(api, rows, "?dry_run=true").json()["accepted"] == 1
    settings.FOUR_EYES = frozenset({"administrators"})
    rows.seek(0)
    assert told(send(api, rows)) == [(2, "E1", "owner_not_yours")]


# ---- nothing in clear ------------------------------------------------------------------------------------------------


def forms_of(number: int) -> list[str]:
    return [seed(number).hex(), seed(number).hex().upper(), oath.base32(seed(number)), write.b64(seed(number))]


def test_no_seed_is_in_any_page_answer_row_or_log(tess: Person) -> None:
    api = Api(Api().sign_in(member("Token desk"))["access_token"])
    hidden = [form for number in range(1, 6) for form in forms_of(number)]
    swapped = file(f"{seed(5).hex()},12345678,totp,6,30", f"{oath.base32(seed(4))},00,totp,6,30")
    browser, seen = signed_in(tess), ""
    with dump.logged() as lines:
        path, page = previewed(browser, three())
        seen += page.content.decode() + dump.tables()
        seen += imported(browser, path).content.decode()
        path, page = previewed(browser, file(line(1), line(4), line(5)))
        seen += page.content.decode() + body_of(browser.get(f"{path}report.csv")) + dump.tables()
        _path, page = previewed(browser, swapped)
        seen += page.content.decode() + body_of(browser.get(f"{_path}report.csv"))
        swapped.seek(0)
        seen += send(api, swapped).content.decode()
        head = "upn,serial number,secret key,time interval,manufacturer,model"
        wrong_order = file(head, f"{oath.base32(seed(4))},X1,{oath.base32(seed(5))},30,Acme,T1")
        seen += previewed(browser, wrong_order)[1].content.decode()
        seen += browser.get(reverse("admin:import")).content.decode() + json.dumps(send(api, three()).json())
    seen += dump.tables() + lines.getvalue()
    assert len(seen) > 10_000 and not [form for form in hidden if form in seen]


def test_the_queue_carries_the_id_alone(tess: Person) -> None:
    from django_tasks_db.models import DBTaskResult

    browser = signed_in(tess)
    path, _page = previewed(browser, three())
    post(browser, path)
    assert DBTaskResult.objects.get().args_kwargs == {"args": [path.split("/")[-2]], "kwargs": {}}


def test_an_upload_never_touches_a_disk(tess: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.files.uploadedfile import TemporaryUploadedFile

    def never(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr(TemporaryUploadedFile, "__init__", never)
    browser = signed_in(tess)
    large = file(line(1), *("#" + "x" * 4000 for _ in range(1000)))
    assert large.size and large.size > 2.5 * 2**20
    assert "A1" in text(previewed(browser, large)[1])


def test_seal_and_rows_fit_the_place(tess: Person) -> None:
    browser = signed_in(tess)
    previewed(browser, three())
    part = Part.objects.get()
    rows = list(previews.opened(part))
    assert [(row.serial, row.seed, row.counter) for row in rows] == [("A1", seed(1), 0), ("A2", seed(2), 7), ("A3", seed(3), 0)]
    with pytest.raises(keyring.CannotOpen):
        keyring.unseal(part.sealed, "desk_part", "sealed", Part().uuid)
    call_command("prune")
