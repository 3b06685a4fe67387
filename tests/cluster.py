"""A PostgreSQL of one's own, to be stopped and started, and whose CPU and statements are nobody else's."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

OPTIONS = "-c listen_addresses=127.0.0.1 -c shared_preload_libraries=pg_stat_statements -c track_io_timing=off"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binaries() -> Path | None:
    """Where PostgreSQL's programs are; None where it is not installed."""
    if debian := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])):
        return debian[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


class Cluster:
    """A running cluster; `url` leads to its database, another one called `bare` lies beside it."""

    def __init__(self, bin_folder: Path) -> None:
        self.bin, self.folder, self.port = bin_folder, Path(tempfile.mkdtemp()), free_port()
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self.folder, "postgres")
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "bare")
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self.pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def _run(self, program: str, *arguments: str) -> None:
        user = pwd.getpwnam("postgres").pw_uid if os.getuid() == 0 else None
        subprocess.run([self.bin / program, *arguments], check=True, user=user, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        """It answers."""
        options = f"-p {self.port} {OPTIONS} -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """It does not answer, as after a power failure."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stopped for good, and its files gone."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
