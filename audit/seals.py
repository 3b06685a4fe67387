"""Seals: each names a range of events, hashes them and the seal before, and is signed by the audit's own key.

The hash over events is SHA-256 over, for each in the order of ids, what its MAC covers, the MAC and a line feed.
"""

import base64
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.db import IntegrityError, transaction

from audit import ids
from audit.events import canonical, covered
from audit.gaps import Range
from audit.models import Event, Seal
from mfa_site import keyring

log = logging.getLogger("audit")

KEY = "audit"  # the stored key that signs: 32 bytes, Ed25519
EVERY = timedelta(seconds=10)  # what was not sealed yet can be cut off together with its log lines; more seals cost more room
MOST = 1000  # events in a seal, so that a worker that comes late needs little memory
PATIENCE = 1.0  # seconds for a transaction that holds an id to end
SIGNED = b"mfa_site audit seal\n"


@dataclass
class Span:
    """The ids from `first` on, walked upwards: which are missing, and the hash of those that are there."""

    first: int
    missing: list[Range] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self.next, self.digest = self.first, sha256()

    def add(self, event: Event) -> None:
        """The event is walked over; every id skipped is missing."""
        self.skip_to(event.id)
        self.digest.update(covered(event) + event.mac.encode() + b"\n")
        self.next, self.count = max(self.next, event.id + 1), self.count + 1

    def skip(self, id: int) -> None:
        """The event of this id is there, and is not what it was."""
        self.skip_to(id)
        self.next = max(self.next, id + 1)

    def skip_to(self, id: int) -> None:
        """The ids before this one are walked over; what was not added is missing."""
        if self.next < id:
            self.missing.append((self.next, id - 1))
            self.next = id


def seal(now: datetime) -> int:
    """What was not sealed yet is, if the last seal is not too new; how many events that are.

    Two workers may both come here: the number of the next seal is a primary key, so one writes it and the other nothing.
    """
    sealed = 0
    while count := _seal_next(now, hurry=sealed > 0):
        sealed += count
        if count < MOST:
            break
    return sealed


def _seal_next(now: datetime, *, hurry: bool) -> int:
    before = newest()
    if before and not hurry and before.at > now - EVERY:
        return 0
    first = before.last + 1 if before else 1
    upto = ids.settled(PATIENCE)
    span = _walk(first, upto)
    if not span.count:
        return 0
    written = Seal(number=before.number + 1 if before else 1, at=now, first=first, last=span.next - 1, missing=span.missing)
    written.events, written.previous = span.digest.hexdigest(), before.hash if before else ""
    return span.count if _write(written) else 0


def _walk(first: int, upto: int | None) -> Span:
    """The next events from `first` to `upto`; where that is not known, those up to the first id that has not come."""
    span = Span(first)
    rows = Event.objects.filter(id__gte=first).order_by("id")
    if upto is not None:
        rows = rows.filter(id__lte=upto)
    for event in rows[:MOST]:
        if upto is None and event.id != span.next:
            break
        span.add(event)
    if upto is not None and 0 < span.count < MOST:
        span.skip_to(upto + 1)
    return span


def _write(seal: Seal) -> bool:
    """The seal is hashed, signed, in the database, and its head in the log; False if there was one of this number."""
    seal.hash = hash_of(seal)
    key = signing_key()
    seal.signature = base64.urlsafe_b64encode(key.sign(SIGNED + seal.hash.encode())).decode()
    try:
        with transaction.atomic():
            seal.save(force_insert=True)
    except IntegrityError:
        return False
    log.info(
        "sealed", extra={"seal": seal.number, "audit_id": seal.last, "head": seal.hash, "key": public_text(key.public_key())}
    )
    return True


def hash_of(seal: Seal) -> str:
    """SHA-256 over everything that the seal says."""
    said: dict[str, Any] = {name: getattr(seal, name) for name in ("number", "first", "last", "missing", "events", "previous")}
    return sha256(canonical({**said, "at": seal.at.isoformat(timespec="microseconds")})).hexdigest()


def is_signed(seal: Seal, key: Ed25519PublicKey) -> bool:
    """Whether this key signed the seal's hash, and the signature is written as `_write` writes it."""
    try:
        signature = base64.urlsafe_b64decode(seal.signature)
        key.verify(signature, SIGNED + seal.hash.encode())
    except (InvalidSignature, ValueError):
        return False
    return base64.urlsafe_b64encode(signature).decode() == seal.signature  # the decoder passes over characters and spare bits


def newest() -> Seal | None:
    """The last seal; its hash is the head."""
    return Seal.objects.order_by("-number").first()


def unsealed(head: Seal | None, most: int = MOST) -> int:
    """How many events wait for the next seal, counted up to `most`."""
    return Event.objects.filter(id__gt=head.last if head else 0)[:most].count()


def signing_key() -> Ed25519PrivateKey:
    """The audit's own key, opened now."""
    return Ed25519PrivateKey.from_private_bytes(keyring.stored(KEY))


def public_text(key: Ed25519PublicKey) -> str:
    """The 32 bytes of a public key (RFC 8032) in base64url."""
    return base64.urlsafe_b64encode(key.public_bytes_raw()).rstrip(b"=").decode()
