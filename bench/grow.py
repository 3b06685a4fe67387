"""Rows by the hundred thousand, made by the database itself: real rows of people and devices that nobody signs in with."""

import sqlite3
import uuid
from typing import Any
from urllib.parse import urlsplit

PER_PERSON = 2


def connect(url: str) -> Any:
    """A connection to the bench's database."""
    if urlsplit(url).scheme == "sqlite":
        return sqlite3.connect(urlsplit(url).path[1:])
    import psycopg

    return psycopg.connect(url)


def columns(connection: Any, table: str, but: set[str]) -> list[str]:
    """The names of the table's stored columns, except these."""
    found = connection.execute(f"SELECT * FROM {table} LIMIT 1")
    return [column[0] for column in found.description if column[0] not in but]


def copy_devices(connection: Any, is_postgres: bool, user: str, source: str) -> None:
    """For each row of `source` (an FROM clause with `d`, a device) a copy that belongs to `user`, with ids of its own."""
    same = columns(connection, "devices_device", {"id", "uuid", "user_id", "credential_id", "confirmed"})
    new = "gen_random_uuid(), decode(md5(random()::text) || md5(random()::text), 'hex')"
    if not is_postgres:
        new = "lower(hex(randomblob(16))), randomblob(32)"
    names, values = ", ".join(same), ", ".join(f"d.{name}" for name in same)
    connection.execute(
        f"INSERT INTO devices_device (uuid, credential_id, user_id, {names}) SELECT {new}, {user}, {values} FROM {source}"
    )


def ten_each(url: str, people: list[str]) -> None:
    """Each of these people has ten devices."""
    connection, is_postgres = connect(url), not url.startswith("sqlite")
    keys = ", ".join(f"'{key if is_postgres else uuid.UUID(key).hex}'" for key in people)
    numbers = "generate_series(1, 4)" if is_postgres else "(VALUES (1), (2), (3), (4))"
    of = f"devices_device d JOIN accounts_user u ON u.id = d.user_id AND u.uuid IN ({keys}) CROSS JOIN {numbers} AS n"
    copy_devices(connection, is_postgres, "d.user_id", of)
    connection.commit()


def to(url: str, devices: int) -> None:
    """There are at least so many devices, and half as many people."""
    connection, is_postgres = connect(url), not url.startswith("sqlite")
    have = connection.execute("SELECT count(*) FROM devices_device").fetchone()[0]
    missing = max(0, devices - have) // PER_PERSON
    same = columns(connection, "accounts_user", {"id", "uuid", "username", "username_key", "user_handle"})
    first, last = "SELECT min(id) FROM accounts_user", connection.execute("SELECT max(id) FROM accounts_user").fetchone()[0]
    numbers, own = (
        f"generate_series(1, {missing}) AS n",
        "gen_random_uuid(), 'more' || n, 'more' || n, decode(md5(n::text), 'hex')",
    )
    if not is_postgres:
        numbers = f"(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {missing}) SELECT n FROM s)"
        own = "lower(hex(randomblob(16))), 'more' || n, 'more' || n, randomblob(64)"
    names, values = ", ".join(same), ", ".join(f"u.{name}" for name in same)
    connection.execute(
        f"INSERT INTO accounts_user (uuid, username, username_key, user_handle, {names}) SELECT {own}, {values}"
        f" FROM accounts_user u CROSS JOIN {numbers} WHERE u.id = ({first})"
    )
    one_person = "SELECT user_id FROM devices_device GROUP BY user_id HAVING count(*) = 2 LIMIT 1"
    of = f"devices_device d CROSS JOIN accounts_user u WHERE u.id > {last} AND d.user_id = ({one_person})"
    copy_devices(connection, is_postgres, "u.id", of)
    connection.commit()
    connection.execute("ANALYZE")
    connection.commit()
