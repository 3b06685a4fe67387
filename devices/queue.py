"""Working off the queue (django-tasks in the database): what was enqueued is carried out, one task at a time in each thread.

A task is claimed before it is carried out and never claimed again: a worker that is killed loses the message that it was
sending, which nobody then gets twice. The person asks for another.
"""

import logging
import os
import threading

from django.db import Error, close_old_connections
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

log = logging.getLogger("worker")

PAUSE = 0.3  # seconds between looks; somebody waits for the message
LONGEST_REST = 30.0  # seconds, while the database is away


class UntilStopped(Worker):
    """The library's worker, on the queue until it is empty; it begins no other task once `stopped` is set."""

    def __init__(self, name: str, stopped: threading.Event) -> None:
        self.stopped = stopped
        super().__init__(
            queue_names=["default"],
            interval=0,
            batch=True,
            backend_name="default",
            startup_delay=False,
            max_tasks=None,
            worker_id=name[:64],
            excluded_queue_names=[],
        )

    @property
    def running(self) -> bool:
        """Whether it may begin another task."""
        return not self.stopped.is_set()

    @running.setter
    def running(self, value: bool) -> None:
        """The library's own switch moves nothing: the event alone decides."""


def work(stopped: threading.Event, number: int) -> None:
    """Whatever is due is carried out, until `stopped` is set; while the database is away, or after a fault, it rests, longer
    each time in a row. The log has the first failure and the recovery."""
    failures = 0
    while not stopped.is_set():
        try:
            drain(f"{os.getpid()}-{number}", stopped)
        except Exception as error:  # whatever it is: a thread that ended would be missed by nobody
            if not failures:
                log.error("the queue cannot be read: %s", type(error).__name__, exc_info=not isinstance(error, Error))
            failures += 1
        else:
            if failures:
                log.info("the queue can be read again")
            failures = 0
        close_old_connections()
        stopped.wait(min(PAUSE * 2 ** min(failures, 10), LONGEST_REST))


def drain(name: str, stopped: threading.Event | None = None) -> None:
    """Everything that is due now was carried out, or is by another thread; once `stopped` is set the rest waits."""
    # A look before the library's, which locks SQLite for it each time.
    if DBTaskResult.objects.ready().exists():
        UntilStopped(name, stopped or threading.Event()).run()
