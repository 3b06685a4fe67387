"""`manage.py import_tokens`: all of a file or nothing, in bounded memory, without a seed in anything that is written."""

import hmac
import io
import json
import os
import pty
import re
import resource
import stat
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyotp
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from audit import events
from audit.models import Event
from devices import oath, seed_files, stock
from devices.kinds import hotp
from devices.lifecycle import State
from devices.models import Device
from devices.seed_files import BadFile, Secret, Why
from mfa_site import keyring
from mfa_site.site import Site
from tests import seed_writer as write
from tests.conftest import make_person
from tests.seed_writer import seed

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "seed_files"
SITE = Site("localhost", frozenset({"http://localhost:8000"}), "MFA Site")
MANY = int(os.environ.get("SEED_ROWS", "5000"))
MOST_MEMORY = 512 * 2**20


def line(number: int, serial: str = "", kind: str = "totp", last: str = "30") -> str:
    return f"{serial or f'A{number}'},{seed(number).hex()},{kind},6,{last}"


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """Writes a file and gives its name."""

    def make(content: str | bytes, name: str = "tokens.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return make


def run(*arguments: str) -> dict[str, Any]:
    """The command's JSON; with `error` where it failed."""
    out, err = io.StringIO(), io.StringIO()
    failed: dict[str, Any] = {}
    try:
        call_command("import_tokens", *arguments, "--json", stdout=out, stderr=err)
    except CommandError as error:
        failed = {"error": str(error), "exit": error.returncode}
    return (json.loads(out.getvalue()) if out.getvalue() else {}) | failed


def refusals(found: dict[str, Any]) -> list[tuple[int, str, str]]:
    assert found["exit"] == 1 and found["accepted"] == 0
    return [(row["row"], row["serial"], row["reason"]) for row in found["refused"]]


def events_now() -> int:
    return Event.objects.count()


# ---- what is kept ----------------------------------------------------------------------------------------------------


def test_tokens_lie_in_stock_sealed_and_their_codes_are_right(file: Any) -> None:
    found = run(file("\n".join([line(1), line(2, kind="hotp", last="7"), line(3, "b3")])))
    assert (found["accepted"], found["refused"], found["format"], found["dry_run"]) == (3, [], "oath-csv", False)
    first, second, third = Device.objects.order_by("id")
    assert {row.state for row in (first, second, third)} == {State.IN_STOCK} and not any(row.user_id for row in (first, second))
    assert {str(row.batch) for row in (first, second, third)} == {found["batch"]}
    assert (first.seed, first.secret_hash, third.serial) == (seed(1), keyring.mac(seed(1), "seed"), "B3")
    assert first.counter == -1 and second.counter == 6, "the file names the next one"
    code = pyotp.HOTP(oath.base32(seed(2))).at(7)
    assert hotp.verify(second, code, "", SITE, timezone.now()).counter == 7, "the very next code is accepted"


def test_one_event_tells_of_the_file_and_nothing_of_its_tokens(file: Any) -> None:
    before = events_now()
    found = run(file(f"{line(1)}\n{line(2)}\n"))
    event = Event.objects.get(act="tokens_imported")
    assert events_now() == before + 1 and event.actor == events.OPERATOR
    assert event.about == {"count": 2, "format": "oath-csv", "batch": found["batch"], "digest": found["sha256"]}


def test_yubikeys_are_in_stock_with_their_public_ids(file: Any) -> None:
    run(file("4711,ccccccbcgujh,a1b2c3d4e5f6,00112233445566778899aabbccddeeff\n"))
    row = Device.objects.get()
    assert (row.kind, row.serial, row.public_id, len(row.seed)) == ("yubiotp", "4711", "ccccccbcgujh", 22)


def test_a_token_goes_to_the_person_whom_the_file_names(file: Any) -> None:
    ada = make_person(username="ada").user
    mails = make_person(username="grace").user
    type(mails).objects.filter(pk=mails.pk).update(email="grace@example.org")
    head = "upn,serial number,secret key,time interval,manufacturer,model\n"
    rows = [f"{who},{n},{oath.base32(seed(n))},30,Acme,T1\n" for n, who in enumerate(["ADA", "grace@example.org", ""])]
    assert run(file(head + "".join(rows)))["accepted"] == 3
    first, second, third = Device.objects.order_by("id")
    assert (first.user, first.state, second.user, third.user) == (ada, State.ASSIGNED, mails, None)
    assert first.name and Event.objects.filter(act="device_handed_out", person=ada.uuid, device=first.uuid).count() == 1


def test_a_name_that_is_nobodys_or_two_peoples_or_has_no_room_is_refused(file: Any) -> None:
    ada, other = make_person(username="ada").user, make_person(username="otto").user
    disabled = make_person(username="mute").user
    type(ada).objects.filter(pk__in=[ada.pk, other.pk]).update(email="both@example.org")
    type(ada).objects.filter(pk=disabled.pk).update(is_active=False)
    head = "upn,serial number,secret key,time interval,manufacturer,model\n"
    names = ["nobody", "both@example.org", "mute", *["ada"] * 51]
    rows = [f"{who},S{n},{oath.base32(seed(n))},30,Acme,T1\n" for n, who in enumerate(names)]
    before = events_now()
    found = refusals(run(file(head + "".join(rows))))
    assert found == [(n + 2, f"S{n}", "owner_unknown") for n in (0, 1, 2, 53)]
    assert not Device.objects.exists() and events_now() == before


def test_figure_6_with_the_key_from_a_file_or_standard_input(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = str(FOLDER / "rfc6030-figure6.xml")
    key = file("12345678901234567890\n123456789012\n", "key")
    assert run(figure, "--key-file", key)["accepted"] == 1
    assert Device.objects.get().seed == b"12345678901234567890"
    Device.objects.all().delete()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"qwerty\n")))
    assert run(str(FOLDER / "rfc6030-figure7.xml"), "--passphrase-file", "-")["accepted"] == 1
    assert Device.objects.get().serial == "987654321"


def test_what_a_policy_ends_later_has_its_dates_and_what_is_over_is_refused(file: Any) -> None:
    ends = datetime(2100, 1, 1, tzinfo=UTC)
    policy = "<Policy><StartDate>2020-01-01T00:00:00Z</StartDate><ExpiryDate>{}-01-01T00:00:00Z</ExpiryDate></Policy>"
    assert run(file(write.container(write.plain(key=write.DECIMAL + policy.format(2100)))))["accepted"] == 1
    row = Device.objects.get()
    assert (row.valid_from, row.valid_until) == (datetime(2020, 1, 1, tzinfo=UTC), ends)
    over = write.container(write.plain(2, "S2", key=write.DECIMAL + policy.format(2021)))
    assert refusals(run(file(over))) == [(1, "S2", "expired")]


# ---- all or nothing --------------------------------------------------------------------------------------------------


def test_a_half_bad_file_is_refused_whole_and_every_bad_row_is_named(file: Any) -> None:
    run(file(f"{line(90, 'OLD')}\n{line(91, 'GONE')}\n"))
    Device.objects.filter(serial="GONE").update(state=State.RETIRED)
    before = events_now()
    rows = [
        line(1),
        line(2, "=1+1"),
        "A3,3132,totp,6,30",
        line(1, "A4"),
        line(5, "a1"),
        line(6, "old"),
        line(90, "A7"),
        line(91, "GONE"),
        f"A9,{'00' * 65},totp,6,30",
    ]
    assert refusals(run(file("\n".join(rows)))) == [
        (2, "", "serial_formula"),
        (3, "A3", "seed_too_short"),
        (4, "A4", "seed_twice"),
        (5, "A1", "serial_twice"),
        (6, "OLD", "serial_known"),
        (7, "A7", "seed_known"),
        (9, "A9", "seed_too_long"),
    ], "what was removed may come again"
    assert Device.objects.count() == 2 and events_now() == before


def test_figure_2_is_read_but_its_key_is_too_short_to_be_kept() -> None:
    assert refusals(run(str(FOLDER / "rfc6030-figure2.xml"))) == [(1, "12345678", "seed_too_short")]


def test_the_same_file_again_is_refused_row_by_row(file: Any) -> None:
    path = file("\n".join(line(number) for number in range(2500)))
    assert run(path)["accepted"] == 2500
    assert refusals(run(path)) == [(number + 1, f"A{number}", "serial_known") for number in range(2500)]
    assert Device.objects.count() == 2500


def test_public_ids_are_there_once(file: Any) -> None:
    run(file("1,ccccccbcgujh,a1b2c3d4e5f6,00112233445566778899aabbccddeeff\n"))
    rows = [("2", "ccccccbcgujh"), ("3", "ccccccbcgujk"), ("4", "ccccccbcgujk")]
    text = "\n".join(f"{serial},{public_id},a1b2c3d4e5f6,{serial * 32}" for serial, public_id in rows)
    found = refusals(run(file(text)))
    assert found == [(1, "2", "public_id_known"), (3, "4", "public_id_twice")]


def test_a_dry_run_judges_everything_and_changes_nothing(file: Any) -> None:
    path, before = file(f"{line(1)}\n{line(2)}\n"), events_now()
    found = run(path, "--dry-run")
    assert (found["accepted"], found["dry_run"]) == (2, True)
    assert refusals(run(file(f"{line(1)}\n{line(1)}\n", "bad"), "--dry-run")) == [(2, "A1", "serial_twice")]
    assert not Device.objects.exists() and events_now() == before


class Changing(io.BytesIO):
    """A file that somebody changes between the two readings."""

    def __init__(self, first: bytes, second: bytes, calls: int) -> None:
        super().__init__(first)
        self.second, self.calls = second, calls

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            self.calls -= 1
            if self.calls == 0:
                super().seek(0)
                self.truncate()
                self.write(self.second)
        return super().seek(offset, whence)


@pytest.mark.parametrize("second", [line(2), "", line(1, "=1"), f"{line(1)}\n{line(2)}"])
def test_a_file_or_stock_that_changes_meanwhile_is_refused_whole(second: str) -> None:
    before = events_now()
    changing = Changing(line(1).encode(), second.encode(), calls=3)
    with pytest.raises(BadFile) as caught:
        keep(changing)
    assert caught.value.reason is Why.FILE_CHANGED
    assert not Device.objects.exists() and events_now() == before


def test_a_serial_that_somebody_else_brings_at_the_same_moment() -> None:
    def race(position: int) -> None:
        if position > len(line(1)) and not Device.objects.exists():  # after it was judged
            other = stock.device(seed_files.Row(1, "A1", "totp", seed(9)), uuid4(), timezone.now())
            other.save(force_insert=True)

    with pytest.raises(BadFile) as caught:
        keep(io.BytesIO(line(1).encode()), race)
    assert caught.value.reason is Why.FILE_CHANGED and Device.objects.count() == 1


def keep(file: io.BytesIO, progress: Any = lambda position: None) -> stock.Report:
    return stock.import_file(
        file,
        "oath-csv",
        Secret(),
        stock.Terms(lambda name: Why.OWNER_UNKNOWN, lambda device, person: None, timezone.now()),
        dry_run=False,
        batch=uuid4(),
        progress=progress,
    )


# ---- usage -----------------------------------------------------------------------------------------------------------


def test_wrong_usage_is_told_from_a_refused_file(file: Any, tmp_path: Path) -> None:
    assert run(str(tmp_path / "missing"))["exit"] == 2
    assert run(str(tmp_path))["exit"] == 2
    assert run(file(line(1)), "--key-file", str(tmp_path / "missing"))["exit"] == 2
    assert refusals(run(file(""))) == [(0, "", "file_empty")]
    assert refusals(run(str(FOLDER / "rfc6030-figure6.xml"))) == [(0, "", "key_needed")]
    assert refusals(run(file("serial,key,type,digits,period\n"))) == [(0, "", "file_empty")]


def test_people_read_the_reasons(file: Any) -> None:
    err = io.StringIO()
    with pytest.raises(CommandError, match="1 row was refused; nothing was kept"):
        call_command("import_tokens", file("A1,00,totp,6,30"), stderr=err)
    assert err.getvalue() == "Row 1 (A1): The key is shorter than 112 bits.\n"
    out = io.StringIO()
    call_command("import_tokens", file(line(1)), stdout=out)
    assert re.fullmatch(r"1 tokens imported, batch [0-9a-f-]{36}\.\n", out.getvalue())


def test_no_seed_is_in_anything_that_is_written(file: Any, caplog: pytest.LogCaptureFixture) -> None:
    hidden = [seed(1).hex(), seed(1).hex().upper(), oath.base32(seed(1)), write.b64(seed(1)), repr(seed(1))]
    for content in (
        line(1),
        f"{line(1)}\n{line(1)}",
        line(1).replace(",6,", ",9,"),
        line(1).replace("A1", seed(1).hex() + "00" * 20),
    ):
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", err)
            try:
                call_command("import_tokens", file(content), stdout=out, stderr=err)
            except CommandError as error:
                err.write(f"{error!r} {error.__context__!r} {error.__cause__!r}")
        written = out.getvalue() + err.getvalue() + caplog.text + "".join(str(event.about) for event in Event.objects.all())
        assert len(written) > 20 and not any(text in written for text in hidden)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret, secret_hash, serial, model FROM devices_device")
        assert not any(text in str(cursor.fetchall()) for text in hidden)


# ---- as a program ----------------------------------------------------------------------------------------------------


def pskc(number: int) -> bytes:
    """An encrypted container of so many tokens; the key is `PSK`, and makes the MACs too."""
    parts = ['<EncryptionKey/><MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"/>']
    for index in range(number):
        value = write.cbc(PSK, seed(index))
        mac = hmac.digest(PSK, value, "sha1")
        secret = write.encrypted(write.XENC + "aes128-cbc", value, mac=mac)
        counter = "<Counter><PlainValue>0</PlainValue></Counter>"
        info = "<Manufacturer>Acme</Manufacturer><Model>T1</Model>"
        parts.append(write.package(secret, f"P{index}", data=counter, info=info))
    return write.container(*parts)


PSK = b"sixteen letters!"


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """Runs manage.py on an SQLite database of its own; gives exit code, both outputs and the most memory it had, in bytes."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MFA_SITE_")},
        "MFA_SITE_DEBUG": "1",
        "MFA_SITE_DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
    }

    def manage(*arguments: str, **more: Any) -> tuple[int, str, str]:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, timeout=900, **more)
        return done.returncode, done.stdout, done.stderr

    manage.environment = environment  # type: ignore[attr-defined]
    assert manage("migrate", "-v0")[0] == 0
    return manage


def limit() -> None:
    """The program gets no more memory than it may have; libraries mapped into it count, too."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))


@pytest.mark.parametrize("file_format", ["oath-csv", "pskc"])
def test_many_tokens_are_imported_in_flat_memory(file_format: str, file: Any, program: Any) -> None:
    key = file(PSK.hex(), "key")
    if file_format == "pskc":
        path, more = file(pskc(MANY)), ["--key-file", key]
    else:
        path, more = file("\n".join(line(number) for number in range(MANY))), []
    begun = timezone.now()
    code, out, err = program("import_tokens", path, "--json", *more, preexec_fn=limit)
    assert code == 0 and json.loads(out)["accepted"] == MANY, err
    assert timezone.now() - begun < timedelta(minutes=5)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MOST_MEMORY


def test_a_terminal_sees_progress_and_nothing_else_does(file: Any, program: Any) -> None:
    path = file("\n".join(line(number) for number in range(2000)))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [sys.executable, str(ROOT / "manage.py"), "import_tokens", path]
    with subprocess.Popen(command, env=program.environment, cwd=ROOT, stderr=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # the terminal is closed when the program ends
            pass
        assert process.stdout is not None and b"2000 tokens imported" in process.stdout.read()
    os.close(ours)
    assert process.returncode == 0 and b"100%" in shown and b"%|" in shown
    code, _out, err = program("import_tokens", path)
    assert code == 1 and "%|" not in err and "already" in err


def test_exit_codes_of_the_program_and_a_help_with_an_example(file: Any, program: Any, tmp_path: Path) -> None:
    assert program("import_tokens")[0] == 2
    assert program("import_tokens", "x", "--key-file", "a", "--passphrase-file", "b")[0] == 2
    assert program("import_tokens", file("=1,00,totp,6,30"))[0] == 1
    code, out, _err = program("import_tokens", "--help")
    assert code == 0 and "Example: manage.py import_tokens" in " ".join(out.split())
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    with subprocess.Popen(["sh", "-c", f"echo x > {fifo}"]):
        code, _out, err = program("import_tokens", str(fifo))
    assert code == 2 and "Traceback" not in err
