"""`python -m mfa_site.together COMMAND … -- COMMAND …`: the server and the worker, which come up and go down together.

SIGTERM, SIGINT (Ctrl-C) or SIGHUP to this process ends all of them, and so does the end of any one.
"""

import contextlib
import ctypes
import signal
import subprocess
import sys
import time
from itertools import groupby

PATIENCE = 10.0  # seconds in which a command that was told to end has to; requests end in far less
PR_SET_PDEATHSIG = 1  # prctl(2)

Process = subprocess.Popen[bytes]


def main(arguments: list[str]) -> int:
    """Runs the commands until one ends or a signal comes, then ends the others.

    0 after a signal; else the exit code of the one that ended by itself, 1 where that was 0 or a signal of its own.
    """
    stops = {number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN}
    waited = {*stops, signal.SIGCHLD}
    signal.signal(signal.SIGCHLD, lambda *_: None)  # or it might be dropped before it is waited for
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    running: list[Process] = []
    stopped = False
    try:
        for is_mark, words in groupby(arguments, "--".__eq__):
            if not is_mark:
                running.append(_begin(list(words), waited))
        while not stopped and all(process.poll() is None for process in running):
            stopped = signal.sigwait(waited) in stops
        codes = [process.poll() for process in running]
    finally:
        _end(running)
    return 0 if stopped else next((code for code in codes if code and code > 0), 1)


def _begin(command: list[str], waited: set[signal.Signals]) -> Process:
    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, waited)
        if sys.platform == "linux":  # so that nothing is left where this process is killed outright
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    # A session of its own: a Ctrl-C in the terminal comes to this process alone, which passes it on once.
    return subprocess.Popen(command, start_new_session=True, preexec_fn=prepare)  # noqa: S603


def _end(running: list[Process]) -> None:
    for process in running:
        process.terminate()
    deadline = time.monotonic() + PATIENCE
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
