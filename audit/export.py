"""The audit for others: CSV for a spreadsheet, JSON lines for programs, and JSON lines with a statement that the audit signed.

Everything is made while it is sent: a hundred thousand events need no more memory than a thousand.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit import seals
from audit.models import Event, Seal

FIELDS = (
    "uuid",
    "id",
    "at",
    "act",
    "reason",
    "actor",
    "person",
    "device",
    "sid",
    "request_id",
    "about",
    "address",
    "user_agent",
)
HASHED = ("name", "digest", "address")  # of `about`: MACs and hashes, with which nobody else can do anything good
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would carry out
CHUNK = 65_536  # bytes that wait until they are sent
SIGNED = (
    b"mfa_site audit export 1\n"  # the first line of the statement, so that it is taken for nothing else that the key signs
)


def told(event: Event) -> dict[str, Any]:
    """What the event says, without MACs and hashes."""
    where = event.personal or {}
    return {
        "uuid": str(event.uuid),
        "id": event.id,
        "at": moment(event.at),
        "act": event.act,
        "reason": event.reason or None,
        **{name: str(value) if (value := getattr(event, name)) else None for name in ("actor", "person", "device", "sid")},
        "request_id": event.request_id,
        "about": about(event),
        "address": where.get("address") or None,
        "user_agent": where.get("user_agent") or None,
    }


def about(event: Event) -> dict[str, Any]:
    """What the event is about, without MACs and hashes."""
    return {name: value for name, value in event.about.items() if name not in HASHED}


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def as_csv(events: Iterable[Event]) -> Iterator[bytes]:
    """One line an event after the line of names; no cell begins as a formula does (OWASP, CSV injection)."""
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(FIELDS)
    for event in events:
        said = told(event)
        said["about"] = json.dumps(said["about"], sort_keys=True) if said["about"] else ""
        writer.writerow([harmless(said[name]) for name in FIELDS])
        if line.tell() > CHUNK:
            yield _taken(line)
    yield _taken(line)


def harmless(value: Any) -> str:
    """The cell's text; one that a spreadsheet would carry out begins with an apostrophe."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def as_lines(events: Iterable[Event]) -> Iterator[bytes]:
    """One JSON object a line."""
    waiting = bytearray()
    for event in events:
        waiting += as_line(event)
        if len(waiting) > CHUNK:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def as_line(event: Event) -> bytes:
    """What the event says as a JSON object, in ASCII, and a line feed."""
    return json.dumps(told(event), sort_keys=True).encode() + b"\n"


def signed(events: Iterable[Event], said: dict[str, Any], key: Ed25519PrivateKey) -> Iterator[bytes]:
    """A ZIP file: `events.jsonl`; `statement.txt`, what the file is (`said`, and what it holds); `statement.sig`, the Ed25519
    signature over the statement; `public.pem`, the key's public half."""
    pipe, hash = _Pipe(), sha256()
    first = last = None
    count = 0
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("events.jsonl", "w", force_zip64=True) as file:
            for event in events:
                line = as_line(event)
                hash.update(line)
                file.write(line)
                first, last, count = event.id, last or event.id, count + 1
                if len(pipe.waiting) > CHUNK:
                    yield pipe.taken()
        head = seals.newest()
        holds = {"events": count, "first_id": first, "last_id": last, "sha256": hash.hexdigest(), "chain": chain(head)}
        statement = SIGNED + json.dumps({**said, **holds}, sort_keys=True).encode() + b"\n"
        archive.writestr("statement.txt", statement)
        archive.writestr("statement.sig", key.sign(statement))
        archive.writestr("public.pem", pem(key.public_key()))
    yield pipe.taken()


def chain(head: Seal | None) -> dict[str, Any] | None:
    """The newest seal, as the log has it; None before the first."""
    if head is None:
        return None
    return {"seal": head.number, "at": moment(head.at), "last_id": head.last, "head": head.hash}


def pem(key: Ed25519PublicKey) -> str:
    """The public key as other programs read it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _taken(text: io.StringIO) -> bytes:
    """What was written, taken out."""
    written = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return written


class _Pipe(io.RawIOBase):
    """What a ZIP file is written to, and taken from while it grows."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.waiting += data
        return len(data)

    def taken(self) -> bytes:
        """What was written since."""
        written = bytes(self.waiting)
        self.waiting.clear()
        return written
