"""The worker, and how it and the server come up and go down together."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from accounts.management.commands import worker

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], object], seconds: float = 30.0) -> None:
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
