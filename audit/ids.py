"""The ids of events: consecutive, and taken before the row is written, because the row's MAC covers its id.

So a missing id is a transaction that rolled back after `take`, a crash, or a row that somebody removed.
"""

import time

from django.db import connection

LOOK_AGAIN = 0.02  # seconds
PATIENCE = 10.0  # seconds that a command waits for transactions that hold an id to end


def take() -> int:
    """The next id, for this transaction alone.

    On SQLite it comes back with the transaction if that rolls back. On PostgreSQL it is lost then, and the transaction
    holds a (shared) lock on the sequence until its end, by which `settled` knows that it goes on.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT nextval('audit_event_id_seq')")
            return int(cursor.fetchone()[0])
    return taken() + 1


def taken() -> int:
    """The highest id that was ever taken, 0 before the first."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM audit_event_id_seq")
        else:
            cursor.execute("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit_event'), 0)")
        return int(cursor.fetchone()[0])


def settled(patience: float) -> int | None:
    """The highest id taken, once it and all lower ones have come or never will; None if that takes more seconds.

    A transaction locks the sequence before it takes an id, and lets go after its commit is visible. So of the ids up
    to one that was read, none can come any more when those who held the lock after that reading have let go.
    """
    highest = taken()
    writers, deadline = _writers(), time.monotonic() + patience
    while writers:
        if time.monotonic() > deadline:
            return None
        time.sleep(LOOK_AGAIN)
        writers &= _writers()
    return highest


def _writers() -> set[str]:
    if connection.vendor != "postgresql":
        return set()  # one transaction writes at a time, and what it wrote and took is seen together
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT virtualtransaction FROM pg_locks WHERE relation = 'audit_event_id_seq'::regclass AND"
            " database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND"
            " mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()"
        )
        return {str(row[0]) for row in cursor.fetchall()}
