"""The service in processes of its own, started as `make serve` starts it."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from django.db import connection

from tests.cluster import free_port

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0  # seconds until a server has to answer


def as_setting(ring: Mapping[str, bytes]) -> str:
    """A keyring as MFA_SITE_KEYS wants it."""
    return ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in ring.items())


def database_of_this_test() -> str:
    """The database of the running test, for another process; the test has to be transactional."""
    told = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{told['NAME']}"
    return f"postgres://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"


class Service:
    """Server and commands with the same settings; a setting can be changed between two starts."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.log = folder / "server.log"
        self.settings = {
            "DEMO": "1",
            "BASE_URL": f"http://localhost:{self.port}",
            "SECRET_KEY": base64.b64encode(os.urandom(40)).decode(),
            **settings,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The caller's without our settings, and these."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("MFA_SITE_")}
        return others | {f"MFA_SITE_{name}": value for name, value in self.settings.items()}

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, to its end."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False)

    def start(self, workers: int = 2) -> subprocess.Popen[bytes]:
        """The server's process; what it says is in `log`."""
        options = f"--interface wsgi --host 127.0.0.1 --port {self.port} --workers {workers} --blocking-threads 8"
        options += " --no-ws --workers-kill-timeout 5 --log-level error mfa_site.wsgi:application"
        command = [str(Path(sys.executable).with_name("granian")), *options.split()]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def exit_code(self, workers: int = 2) -> int:
        """Of a server that is not to start; one that does is ended, and the wait for its end fails."""
        server = self.start(workers)
        try:
            return server.wait(timeout=PATIENCE)
        finally:
            server.terminate()

    @contextmanager
    def running(self, workers: int = 2) -> Iterator[None]:
        """The server answers inside."""
        server = self.start(workers)
        try:
            until = time.monotonic() + PATIENCE
            while self.livez() != 200:
                assert server.poll() is None and time.monotonic() < until, self.log.read_text()
                time.sleep(0.1)
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=PATIENCE)

    def livez(self) -> int:
        """Its status, 0 where nobody answers."""
        try:
            return self.call("GET", "/livez")[0]
        except (OSError, HTTPException):
            return 0

    def call(self, method: str, path: str, body: Any = None, bearer: str = "") -> tuple[int, Any]:
        """Status and JSON, or text, of one request on a connection of its own; a str body is a form."""
        wire = HTTPConnection("localhost", self.port, timeout=PATIENCE)
        form = "application/x-www-form-urlencoded" if isinstance(body, str) else "application/json"
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        sent = body if isinstance(body, str) or body is None else json.dumps(body)
        try:
            wire.request(method, path, sent, headers | ({} if body is None else {"Content-Type": form}))
            answer = wire.getresponse()
            text = answer.read().decode()
            is_json = "json" in (answer.headers["Content-Type"] or "")
            return answer.status, json.loads(text) if is_json else text
        finally:
            wire.close()
