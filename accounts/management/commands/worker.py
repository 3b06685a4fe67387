"""`manage.py worker`: what happens beside the requests, a little at a time, for as long as it runs."""

import logging
import signal
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error, close_old_connections
from django.utils import timezone

log = logging.getLogger("worker")
PAUSE = 1.0  # seconds between rounds

# Each does what is due now and says how much that was. Several workers may run: each chore sees to that itself.
CHORES: tuple[Callable[[datetime], int], ...] = ()


class Command(BaseCommand):
    """Seals the audit and sends what is due, until it is told to stop."""

    help = "Do what is due beside the requests: audit seals, notices by mail. Example: manage.py worker --once"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            if threading.current_thread() is threading.main_thread():
                signal.signal(number, lambda *_: stopped.set())
        while True:
            one_round(timezone.now())
            if options["once"] or stopped.wait(PAUSE):
                return


def one_round(now: datetime) -> None:
    """Every chore had its turn; one that failed is logged by kind and has its next turn in the next round."""
    for chore in CHORES:
        try:
            chore(now)
        except Exception as error:
            log.error("chore failed: %s", type(error).__name__, exc_info=not isinstance(error, Error))
    close_old_connections()
