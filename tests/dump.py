"""Everything that the service keeps or writes, as text, and everything that a client saw or sent and nobody may find in it."""

import base64
import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import redis
from django.conf import settings
from django.db import connection
from django.test import Client

from mfa_site import logs

# What these fields carry, in JSON or in a form, to the service or from it, is secret.
SECRET = {"password", "answer", "answers", "code", "codes", "sign_in", "access_token", "refresh_token", "secret", "otpauth_uri"}
SECRET |= {"challenge", "signature", "token", "current", "new", "again"}  # the last three: changing a password
PUBLIC_COOKIES = {"mfa_site_hint"}  # the device that this browser used last: stands in its address too


class Secrets:
    """What must not be found, by what it is."""

    def __init__(self, known: dict[str | bytes, str] | None = None) -> None:
        self.known = known or {}

    def add(self, what: str, value: Any) -> None:
        """This value is a secret of this kind; an empty one is none."""
        if isinstance(value, list):
            for one in value:
                self.add(what, one)
        elif isinstance(value, str | bytes) and value:
            self.known[value] = what
            if what == "otpauth_uri":
                self.add("secret", parse_qs(urlsplit(str(value)).query)["secret"][0])
            if what in ("codes", "answer"):  # a recovery code as it is typed, and as the service takes it
                self.known[str(value).replace("-", "")] = what
            if what == "secret":  # a seed, in base32
                self.add("seed", base64.b32decode(str(value) + "=" * (-len(value) % 8)))

    def look(self, value: Any, name: str = "") -> None:
        """Every secret field inside is a secret."""
        if isinstance(value, dict):
            for inner, part in value.items():
                self.look(part, inner)
        elif isinstance(value, list) and name not in SECRET:
            for part in value:
                self.look(part, name)
        elif name in SECRET:
            self.add(name, value)

    def found(self, text: str) -> list[str]:
        """What is in the text in any form, as `kind: form`."""
        return sorted({f"{what}: {how}" for value, what in self.known.items() for how, form in forms(value) if form(text)})


def forms(value: str | bytes) -> Iterator[tuple[str, Any]]:
    """The ways in which a value may stand in a text, each with a test for it."""
    raw = value.encode() if isinstance(value, str) else value
    if isinstance(value, str) and len(value) <= 8:  # a short code: as a word of its own, not within a hash or a time
        pattern = re.compile(rf"(?<![\w.-]){re.escape(value)}(?![\w-])")
        yield "itself", pattern.search
        return
    if isinstance(value, str):
        yield "itself", lambda text: value in text
        yield "in a URL", lambda text: quote(value, safe="") in text
        yield "in JSON", lambda text: json.dumps(value)[1:-1] in text
    else:
        yield "itself", lambda text: raw.decode("latin1") in text
        yield "as a literal", lambda text: repr(raw)[2:-1] in text
        yield "base32", lambda text: base64.b32encode(raw).decode().rstrip("=") in text
    yield "hex", lambda text: raw.hex() in text.lower()
    yield "base64", lambda text: base64.b64encode(raw).decode().rstrip("=") in text
    yield "base64url", lambda text: base64.urlsafe_b64encode(raw).decode().rstrip("=") in text


class Watching(Client):
    """A client that remembers every secret that it sends or is handed."""

    secrets: Secrets

    def generic(self, method: str, path: Any, data: Any = "", content_type: Any = None, *args: Any, **extra: Any) -> Any:
        text = data.decode() if isinstance(data, bytes) else str(data)
        if "json" in (content_type or "") and text:
            self.secrets.look(json.loads(text))
        elif "urlencoded" in (content_type or ""):
            self.secrets.look({name: values[0] for name, values in parse_qs(text).items()})
        response = super().generic(method, path, data, content_type, *args, **extra)
        if response.get("Content-Type", "") == "application/json":
            self.secrets.look(response.json())
        for name, cookie in response.cookies.items():
            if name not in PUBLIC_COOKIES:
                self.secrets.add(f"cookie {name}", cookie.value)
        return response

    def post(self, path: str, data: Any = None, content_type: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        if content_type is None:
            self.secrets.look(data or {})
            return super().post(path, data, **extra)
        return super().post(path, data, content_type, **extra)


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """All that is logged inside, in both formats, at the level of the service."""
    lines, handlers = io.StringIO(), []
    for log_format in ("text", "json"):
        handler = logging.StreamHandler(lines)
        formatter = logs.config(log_format)["formatters"]["line"]
        handler.setFormatter(formatter.pop("()")(**formatter))
        handlers.append(handler)
        logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        for handler in handlers:
            logging.getLogger().removeHandler(handler)


def tables() -> str:
    """Every value of every table, the queues among them; bytes as hex and as they are."""
    lines = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                lines.append(f"{table} " + " | ".join(_as_text(value) for value in row))
    return "\n".join(lines)


def _as_text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return f"{bytes(value).hex()} {bytes(value).decode('latin1')}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def cached() -> str:
    """Everything in Redis, keys and values; nothing without one."""
    if not settings.CACHE_URL:
        return ""
    store = redis.Redis.from_url(settings.CACHE_URL, encoding="latin1", decode_responses=True)
    reads: dict[str, Any] = {
        "string": store.get,
        "hash": store.hgetall,
        "set": store.smembers,
        "list": lambda key: store.lrange(key, 0, -1),
        "zset": lambda key: store.zrange(key, 0, -1, withscores=True),
    }
    return "\n".join(f"{key} {reads[str(store.type(key))](key)}" for key in store.scan_iter())


def database_file() -> str:
    """What SQLite's files hold, rows that were changed or deleted included; nothing for another database."""
    if connection.vendor != "sqlite":
        return ""
    paths = [Path(f"{connection.settings_dict['NAME']}{end}") for end in ("", "-wal")]
    return "".join(path.read_bytes().decode("latin1") for path in paths if path.exists())
