"""The worker, and how it and the server come up and go down together."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.management.commands import worker
from tests import cluster
from tests.cluster import free_port
from tests.running import ROOT, Service, as_setting


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether the process still runs; one that only waits to be counted does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, int], Path]]:
    """Server and worker as `make run` starts them, on a database of their own: the process, the pids of both, the log."""
    port, log = free_port(), folder / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MFA_SITE_", "DJANGO_"))}
    environment |= {
        "MFA_SITE_DEBUG": "1",
        "MFA_SITE_BASE_URL": f"http://localhost:{port}",
        "MFA_SITE_DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True, timeout=60)
    server = [
        "granian",
        "--interface",
        "wsgi",
        "--port",
        str(port),
        "--no-ws",
        "--log-level",
        "error",
        "mfa_site.wsgi:application",
    ]
    command = [sys.executable, "-m", "mfa_site.together", sys.executable, "manage.py", "worker", "--", *server]
    with log.open("wb") as lines:
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=lines, stderr=lines, start_new_session=True)
    try:

        def answers() -> bool:
            with suppress(OSError):
                return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5).status == 200)
            return False

        until(answers)
        until(lambda: b"worker started" in log.read_bytes())
        listed = subprocess.run(["pgrep", "-P", str(running.pid), "-a"], capture_output=True, text=True, check=True).stdout
        children = {("worker" if "manage.py" in line else "server"): int(line.split()[0]) for line in listed.splitlines()}
        yield running, children, log
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "worker", "server"])
def test_server_and_worker_come_up_and_go_down_together(tmp_path: Path, how: str) -> None:
    with serving(tmp_path) as (running, children, log):
        assert set(children) == {"worker", "server"}
        began = time.monotonic()
        if how in children:
            os.kill(children[how], signal.SIGKILL)
        else:
            running.send_signal(getattr(signal, how))
        ended = running.wait(15)
        until(lambda: not any(alive(pid) for pid in children.values()), 5)
        assert time.monotonic() - began < 5
        assert ended == {"SIGKILL": -signal.SIGKILL, "worker": 1, "server": 1}.get(how, 0)
        assert "Traceback" not in log.read_text()


def test_a_chore_that_fails_rests_and_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[datetime] = []

    def broken(now: datetime) -> int:
        calls.append(now)
        if len(calls) < 6:
            raise RuntimeError("no")
        return 0

    monkeypatch.setattr(worker, "CHORES", (broken,))
    monkeypatch.setattr(worker, "close_old_connections", lambda: None)
    failures: dict[worker.Chore, tuple[int, datetime]] = {}
    start = timezone.now()
    with caplog.at_level("INFO", "worker"):
        for second in range(40):
            worker.one_round(start + timedelta(seconds=second), failures)
    assert [(call - start).total_seconds() for call in calls[:6]] == [0, 1, 3, 7, 15, 31]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


@pytest.mark.skipif(cluster.binaries() is None, reason="PostgreSQL is not installed")
def test_a_database_that_falls_and_comes_back(tmp_path: Path, settings: Any) -> None:
    """The worker goes on by itself and two lines tell of it; what the crash skipped is told until acknowledged."""
    programs = cluster.binaries()
    assert programs is not None
    own = cluster.Cluster(programs)
    service = Service(tmp_path, DATABASE_URL=own.url, KEYS=as_setting(settings.KEYRING))
    log = tmp_path / "worker.log"
    command = [sys.executable, "manage.py", "worker"]
    try:
        assert service.manage("migrate", "--verbosity", "0").returncode == 0

        def verified() -> tuple[int, dict[str, Any]]:
            ran = service.manage("verify_audit", "--json")
            return ran.returncode, json.loads(ran.stdout)

        def event() -> bool:
            return service.call("POST", "/api/v1/sign-ins", {"username": "x", "password": "y"})[0] == 401

        with service.running(), log.open("wb") as lines:
            running = subprocess.Popen(command, cwd=ROOT, env=service.environment, stdout=lines, stderr=lines)
            assert event()
            until(lambda: b"sealed" in log.read_bytes())
            own.stop()
            until(lambda: b"chore failed: audit" in log.read_bytes())
            time.sleep(4)
            own.start()
            until(lambda: b"chore works again: audit" in log.read_bytes(), 60)
            until(event)
            until(lambda: log.read_bytes().count(b"sealed") == 2)
            began = time.monotonic()
            running.terminate()
            assert running.wait(10) == 0 and time.monotonic() - began < 4
        said = log.read_text()
        assert "Traceback" not in said, said
        for told in ("chore failed: audit.seals.seal", "chore works again: audit.seals.seal", "worker stopped"):
            assert said.count(told) == 1, said
        code, seen = verified()
        gaps = [(one["what"], one["first"], one["last"]) for one in seen["findings"]]
        assert (code, gaps) == (1, [("missing", 2, 33)]), "the database had reserved 32 ids in its own log"
        assert service.manage("verify_audit", "--acknowledge", "2-33").returncode == 0
        assert verified()[0] == 0
    finally:
        own.remove()
