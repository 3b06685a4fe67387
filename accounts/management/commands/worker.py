"""`manage.py worker`: what happens beside the requests, a little at a time, for as long as it runs."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error, close_old_connections
from django.utils import timezone

from accounts import census, notices, prune
from audit import seals, tally
from devices import queue
from mfa_site.start import refuse_another_keyring

log = logging.getLogger("worker")
PAUSE = 1.0  # seconds between rounds
LONGEST_REST = 30  # seconds that a chore rests at most after it failed; the rest doubles from one second
SENDERS = 4  # threads that send codes: one gateway that takes its time leaves the others going
LAST = 0.5  # seconds that the chore in progress has when the worker is told to stop; what it began is taken up again

Chore = Callable[[datetime], int]

# Each does what is due now and says how much that was. Several workers may run: each chore sees to that itself.
CHORES: tuple[Chore, ...] = (seals.seal, tally.count, notices.send_due, census.take, prune.a_little)


class Command(BaseCommand):
    """Seals the audit, sends what is due, codes at once, and forgets what is over, until it is told to stop."""

    help = "Do what is due beside the requests: audit seals, notices by mail, forgetting. Example: manage.py worker --once"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_another_keyring()
        if options["once"]:
            one_round(timezone.now(), {})
            queue.drain("once")
            return
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        threads = [threading.Thread(target=rounds, args=(stopped,), daemon=True)]
        threads += [threading.Thread(target=queue.work, args=(stopped, number), daemon=True) for number in range(SENDERS)]
        log.info("worker started")
        for thread in threads:
            thread.start()
        stopped.wait()
        end = time.monotonic() + LAST
        for thread in threads:
            thread.join(max(0, end - time.monotonic()))
        log.info("worker stopped")
        if any(thread.is_alive() for thread in threads):
            os._exit(0)  # it waits for a lock or for a store that is away, where no signal wakes it


def rounds(stopped: threading.Event) -> None:
    """Round after round until `stopped` is set; if this ends otherwise, the worker ends too."""
    failures: dict[Chore, tuple[int, datetime]] = {}
    try:
        while not stopped.is_set():
            one_round(timezone.now(), failures)
            stopped.wait(PAUSE)
    finally:
        stopped.set()


def one_round(now: datetime, failures: dict[Chore, tuple[int, datetime]]) -> None:
    """Every chore that does not rest had its turn; one that failed rests a while, longer each time in a row.

    `failures`: for those that failed last time, how often in a row and until when they rest. The log has the first
    failure, with its traceback unless a store was away, and the recovery; not the ones between.
    """
    for chore in CHORES:
        count, until = failures.get(chore, (0, now))
        if until > now:
            continue
        try:
            chore(now)
        except Exception as error:
            if count == 0:
                kind, name = type(error).__name__, f"{chore.__module__}.{chore.__name__}"
                log.error("chore failed: %s: %s", name, kind, exc_info=not isinstance(error, Error))
            failures[chore] = count + 1, now + timedelta(seconds=min(2**count, LONGEST_REST))
        else:
            if failures.pop(chore, None):
                log.info("chore works again: %s.%s", chore.__module__, chore.__name__)
    close_old_connections()
