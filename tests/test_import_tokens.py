"""`manage.py import_tokens`: all of a file or nothing, in flat memory, and what comes out signs in."""

import base64
import contextlib
import io
import json
import os
import pty
import resource
import secrets
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from audit.models import Event
from devices import oath, stock
from devices.lifecycle import State
from devices.models import Device
from devices.seed_files.rows import BadFile, Secret, Why
from tests.conftest import Api, make_person
from tests.running import ROOT, Service, as_setting
from tests.test_seed_files import FOLDER, HEX

pytestmark = pytest.mark.django_db


def imported(path: Path, *options: str) -> dict[str, Any]:
    """What the command says; `exit` is 0 or what it failed with."""
    out, code, said = io.StringIO(), 0, ""
    try:
        call_command("import_tokens", str(path), "--json", *options, stdout=out)
    except CommandError as error:
        code, said = error.returncode, str(error)
    told: dict[str, Any] = json.loads(out.getvalue() or "{}")
    return {**told, "exit": code, "said": said}


def file(folder: Path, text: str | bytes, name: str = "tokens.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def seed() -> str:
    return secrets.token_hex(20)


def everything() -> tuple[int, int]:
    return Device.objects.count(), Event.objects.count()


def test_what_was_imported_is_claimed_and_signs_in(tmp_path: Path) -> None:
    key = seed()
    done = imported(file(tmp_path, f"T1,{key},totp,8,60,sha256\nT2,{seed()},hotp,6,5\n"))
    assert (done["exit"], done["accepted"], done["refused"]) == (0, 2, [])
    row = Device.objects.get(serial="T1")
    assert (row.state, row.user, row.counter, str(row.batch)) == (State.IN_STOCK, None, -1, done["batch"])
    assert Device.objects.get(serial="T2").counter == 4, "the file names the next one"
    assert row.seed.hex() == key and key not in row.secret and row.secret.startswith("v1.")
    ada = make_person("recovery", username="ada")
    api = Api()
    bearer = Api(api.answer(api.start(ada), ada.code_set, ada.codes[0]).json()["access_token"])
    step = int(timezone.now().timestamp()) // 60
    two = [oath.at(row, step - 1), oath.at(row, step)]
    claimed = bearer.post("devices", {"kind": "totp", "serial": "t1", "answers": two})
    assert claimed.status_code == 201, claimed.content
    assert api.answer(api.start(ada), row, oath.at(row, step + 1)).status_code == 200
    event = Event.objects.get(act="tokens_imported")
    assert event.about["count"] == 2 and key not in json.dumps(event.about)


def test_a_half_bad_file_is_refused_whole_and_every_bad_row_named(tmp_path: Path) -> None:
    twice = seed()
    text = f"T1,{seed()},totp,6,30\n=1+1,{seed()},totp,6,30\nT3,abc,totp,6,30\n"
    text += f"T4,{twice},totp,6,30\nT5,{twice},totp,6,30\nt1,{seed()},hotp\n"
    before = everything()
    done = imported(file(tmp_path, text))
    assert done["exit"] == 1 and "nothing was kept" in done["said"] and done["batch"] is None
    assert everything() == before
    assert [(row["row"], row["serial"]) for row in done["refused"]] == [(2, "1+1"), (3, "T3"), (5, "T5"), (6, "T1")]
    assert [row["reason"] for row in done["refused"]] == [
        str(why.sentence) for why in (Why.SERIAL_FORMULA, Why.SEED_UNREADABLE, Why.SEED_TWICE, Why.TWICE)
    ]
    assert twice not in json.dumps(done)


def test_what_is_here_already_is_refused_by_serial_and_by_seed(tmp_path: Path) -> None:
    key = seed()
    assert imported(file(tmp_path, f"T1,{key},totp,6,30\n"))["exit"] == 0
    done = imported(file(tmp_path, f"t1,{seed()},totp,6,30\nT2,{key},hotp,6,0\n"))
    assert [row["reason"] for row in done["refused"]] == [str(Why.KNOWN.sentence), str(Why.SEED_KNOWN.sentence)]
    Device.objects.get(serial="T1").retire()
    assert imported(file(tmp_path, f"T1,{key},totp,6,30\n"))["exit"] == 0, "what was removed for good may come again"


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    before = everything()
    done = imported(file(tmp_path, f"T1,{seed()},totp,6,30\n"), "--dry-run")
    assert (done["exit"], done["accepted"], done["batch"]) == (0, 1, None) and everything() == before
    bad = imported(file(tmp_path, f"T1,{seed()},totp,6,30\nT2,,totp,6,30\n"), "--dry-run")
    assert (bad["accepted"], len(bad["refused"])) == (1, 1) and everything() == before


def test_tokens_for_people_are_handed_out_and_those_for_nobody_refused(tmp_path: Path) -> None:
    ada = make_person(username="Ada")
    head, key = "upn,serial number,secret key,time interval,manufacturer,model\n", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    done = imported(file(tmp_path, f"{head}ada,T1,{key},30,Token2,c202\n"))
    row = Device.objects.get(serial="T1")
    assert done["exit"] == 0 and (row.user, row.state, row.name) == (ada.user, State.ASSIGNED, "Token2 c202")
    other = imported(file(tmp_path, f"{head}nobody,T2,{key[:-1]}A,30,Token2,c202\n"))
    assert [one["reason"] for one in other["refused"]] == [str(Why.OWNER.sentence)]
    make_person(username="one")  # both have the same address
    assert imported(file(tmp_path, f"{head}p@example.org,T3,{key[:-1]}A,30,,\n"))["exit"] == 1


def test_what_is_over_is_refused(tmp_path: Path) -> None:
    done = imported(FOLDER / "rfc6030-figure10.xml")
    assert {row["reason"] for row in done["refused"]} == {
        str(why.sentence) for why in (Why.EXPIRED, Why.SEED_TWICE, Why.TWICE)
    } and done["accepted"] == 0


def test_a_token_is_usable_from_its_date_on(tmp_path: Path) -> None:
    later = (timezone.now() + timedelta(days=1)).isoformat()
    data = (
        (FOLDER / "rfc6030-figure3.xml")
        .read_text()
        .replace("    </Key>", f"<Policy><StartDate>{later}</StartDate></Policy></Key>")
    )
    data = data.replace("UID=jsmith,DC=example-bank,DC=net", "").replace("DC=example-bank,DC=net", "")
    assert imported(file(tmp_path, data, "t.xml"))["exit"] == 0
    row = Device.objects.get(serial="987654321")
    row.state = State.ACTIVE
    assert not row.is_usable(timezone.now()) and row.is_usable(timezone.now() + timedelta(days=2))


def test_keys_come_from_files(tmp_path: Path) -> None:
    six, seven = FOLDER / "rfc6030-figure6.xml", FOLDER / "rfc6030-figure7.xml"
    key = file(tmp_path, "12345678901234567890123456789012\n", "key")
    assert imported(six, "--key-file", str(key))["exit"] == 0
    Device.objects.all().delete()
    assert imported(seven, "--passphrase-file", str(file(tmp_path, "qwerty\n", "pass")))["exit"] == 0
    Device.objects.all().delete()
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    told = imported(FOLDER / "rfc6030-figure8.xml", "--private-key-file", str(file(tmp_path, pem, "pem")))
    assert told["exit"] == 1, "another key than the figure's, which was never published"
    wrong = imported(six, "--key-file", str(file(tmp_path, "00" * 16, "zero")))
    assert (wrong["exit"], wrong["said"]) == (1, str(Why.WRONG_KEY.sentence))


@pytest.mark.parametrize(
    "options",
    [["--key-file", "nowhere"], ["--key-file", "text"], ["--private-key-file", "text"], ["--passphrase-file", "nowhere"]],
)
def test_wrong_usage_is_told_without_the_key(tmp_path: Path, options: list[str]) -> None:
    file(tmp_path, "no key at all, but secret", "text")
    done = imported(FOLDER / "rfc6030-figure6.xml", options[0], str(tmp_path / options[1]))
    assert done["exit"] == 2 and "secret" not in done["said"]
    assert imported(tmp_path / "nowhere")["exit"] == 2


def test_of_two_imports_at_once_the_later_keeps_nothing(tmp_path: Path) -> None:
    path = file(tmp_path, f"T1,{seed()},totp,6,30\nT2,{seed()},totp,6,30\n")

    def another(count: int) -> None:
        if count == 2 and not Device.objects.exists():
            row = Device(kind="hotp", serial="T2", state=State.IN_STOCK)
            row.seed = b"x" * 20
            row.save()

    with path.open("rb") as data, pytest.raises(BadFile) as caught:
        stock.import_file(data, "oath-csv", Secret(), owner_of=lambda name: None, now=timezone.now(), progress=another)
    assert caught.value.why is Why.RACE and Device.objects.count() == 1


# ---- many --------------------------------------------------------------------------------------------------------------

MANY = 5_000  # as many as the suite has time for; a hundred thousand take the same memory


def csv_of(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield f"T{number:07d},{secrets.token_hex(20)},totp,6,30\n".encode()


PACKAGE = (FOLDER / "feitian.xml").read_text().split("<KeyPackage>")[2].split("</KeyPackage>")[0]


def pskc_of(count: int) -> Iterator[bytes]:
    yield b'<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">'
    for number in range(count):
        key = base64.b64encode(secrets.token_bytes(20)).decode()
        text = PACKAGE.replace("1000117803294", f"T{number:07d}").replace("TfpfT+8Jn9s6FYNIySi+uzXkIi0=", key)
        yield f"<KeyPackage>{text}</KeyPackage>".encode()
    yield b"</KeyContainer>"


@pytest.mark.parametrize("kind", ["csv", "pskc"])
def test_many_tokens_take_flat_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "many"
    with path.open("wb") as out:
        out.writelines((csv_of if kind == "csv" else pskc_of)(MANY))
    service = Service(
        tmp_path, KEYS=as_setting({"k1": secrets.token_bytes(32)}), DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3"
    )
    assert service.manage("migrate", "-v0").returncode == 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    began = time.monotonic()
    command = [sys.executable, "manage.py", "import_tokens", str(path), "--json"]
    done = subprocess.run(command, cwd=ROOT, env=service.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] == MANY
    assert max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) < 512 * 1024
    assert time.monotonic() - began < 60


def test_progress_is_shown_on_a_terminal(tmp_path: Path) -> None:
    service = Service(
        tmp_path, KEYS=as_setting({"k1": secrets.token_bytes(32)}), DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3"
    )
    assert service.manage("migrate", "-v0").returncode == 0
    path = tmp_path / "many"
    with path.open("wb") as out:
        out.writelines(csv_of(2_000))
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    command = [sys.executable, "manage.py", "import_tokens", str(path), "--dry-run"]
    done = subprocess.Popen(command, cwd=ROOT, env=service.environment, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed when the command ends
        while part := os.read(leader, 65536):
            shown += part
    said, _ = done.communicate(timeout=60)
    os.close(leader)
    assert done.returncode == 0 and b"2000 tokens are good" in said
    assert b"%" in shown and b"B" in shown


def test_nothing_of_a_file_is_in_the_database_in_clear(tmp_path: Path) -> None:
    imported(file(tmp_path, f"T1,{HEX},totp,6,30\n"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM devices_device")
        kept = repr(cursor.fetchall())
    assert "T1" in kept and HEX not in kept and "12345678901234567890" not in kept
