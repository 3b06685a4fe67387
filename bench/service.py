"""The service as `make serve` starts it, on a database of its own, and what it used: CPU, memory, statements."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import cluster

ROOT = Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
WORKERS = 2


@dataclass
class Store:
    """The database: its URL, and the process above its backends (None for SQLite)."""

    url: str
    bare_url: str
    name: str
    pid: int | None


@contextmanager
def store(folder: Path) -> Iterator[Store]:
    """PostgreSQL where it is installed, else an SQLite file."""
    programs = cluster.binaries()
    if programs is None:
        yield Store(f"sqlite:///{folder / 'bench.sqlite3'}", f"sqlite:///{folder / 'bare.sqlite3'}", "SQLite", None)
        return
    own = cluster.Cluster(programs)
    try:
        yield Store(own.url, own.url.removesuffix("postgres") + "bare", "PostgreSQL", own.pid)
    finally:
        own.remove()


def another(database: Store, name: str) -> str:
    """URL of an empty database beside the service's own."""
    if not database.pid:
        return database.url.replace("bench.sqlite3", f"{name}.sqlite3")
    import psycopg

    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return database.url.removesuffix("postgres") + name


def environment(database: Store, port: int) -> dict[str, str]:
    """The settings of the benched service: as in production, with demo people, behind one proxy that names addresses."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("MFA_SITE_")}
    return mine | {
        "MFA_SITE_DEMO": "1",
        "MFA_SITE_BASE_URL": f"http://localhost:{port}",
        "MFA_SITE_DATABASE_URL": database.url,
        "BENCH_BARE_URL": database.bare_url,
        "MFA_SITE_TRUSTED_PROXIES": "1",
        "MFA_SITE_LOG_FORMAT": "json",
        "DJANGO_SETTINGS_MODULE": "bench.settings",
        "PYTHONPATH": str(ROOT),
    }


def manage(env: dict[str, str], *arguments: str) -> str:
    """What a management command printed."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout


class Server:
    """granian with workers, and the CPU and memory that they used."""

    def __init__(self, env: dict[str, str], port: int, application: str, ready: str, program: str = "granian") -> None:
        self.port = port
        command = [program, "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS)]
        command += ["--blocking-threads", "32", "--no-ws", "--log-level", "error", application]
        began = time.perf_counter()
        self.process = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.DEVNULL)
        while True:
            try:
                urllib.request.urlopen(f"http://localhost:{port}{ready}").read()
                break
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - began > 30:
                    raise SystemExit(f"{application} does not start") from None
                time.sleep(0.01)
        self.cold_start = time.perf_counter() - began

    def cpu(self) -> float:
        """Seconds of CPU so far, of all workers."""
        return sum(map(cpu_of, [self.process.pid, *children(self.process.pid)]))

    def memory(self) -> float:
        """The largest worker's resident memory, in MiB."""
        return max(resident(pid) for pid in children(self.process.pid))

    def stop(self) -> None:
        """The server is gone."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_of(pid: int) -> float:
    """Seconds of CPU of one process, with those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICK


def resident(pid: int) -> float:
    """MiB in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def database_cpu(database: Store) -> float:
    """Seconds of CPU of the database's processes so far."""
    return sum(map(cpu_of, [database.pid, *children(database.pid)])) if database.pid else 0.0


class Statements:
    """How many statements the database ran (pg_stat_statements); none are counted on SQLite."""

    def __init__(self, database: Store) -> None:
        self.connection: Any = None
        if database.pid:
            import psycopg

            self.connection = psycopg.connect(database.url, autocommit=True)
            self.connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    def reset(self) -> None:
        """Counted from here."""
        if self.connection:
            self.connection.execute("SELECT pg_stat_statements_reset()")

    def count(self) -> int | None:
        """Since the last reset, BEGIN and COMMIT included."""
        if not self.connection:
            return None
        query = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'"
        return int(self.connection.execute(query).fetchone()[0])


def seeded(env: dict[str, str], people: int) -> list[dict[str, Any]]:
    """The people that `seed_demo` made, with what they hold."""
    manage(env, "migrate", "--verbosity", "0")
    found: list[dict[str, Any]] = json.loads(manage(env, "seed_demo", "--json", "--people", str(people)))["people"]
    return found


def prepare_bare(env: dict[str, str], count: int) -> None:
    """The tables and devices of what we compare with."""
    subprocess.run([sys.executable, "-m", "bench.bare", str(count)], env=env, cwd=ROOT, check=True)
