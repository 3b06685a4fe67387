"""Signing keys: sealed in the database, published as a JWK set (RFC 7517) before they sign.

The first one is made when the database is migrated, later ones by `manage.py rotate_signing_keys`; a request never makes
one. A process keeps the opened keys for a minute; they are a copy, never the truth.
"""

import json
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from joserfc.jwk import ECKey, KeySet

from grants.models import SigningKey
from mfa_site import keyring

COPY_LIFE = 60.0  # seconds until the keys are read again
MISS_PAUSE = 2.0  # seconds between readings that unknown key ids may cause
PUBLISHED_LIFE = timedelta(minutes=10)  # how long caches may keep the JWK set


@dataclass(frozen=True)
class Keys:
    """The key to sign with, and all public keys that verify, by kid."""

    current: ECKey
    algorithm: str
    public: KeySet
    kids: frozenset[str]
    read_at: float


_copy: Keys | None = None
_lock = threading.Lock()


def keys(kid: str | None = None) -> Keys:
    """The keys; read again when the copy is old, or when it does not know `kid`."""
    global _copy
    copy = _copy
    age = time.monotonic() - copy.read_at if copy else COPY_LIFE
    missed = kid is not None and copy is not None and kid not in copy.kids and age > MISS_PAUSE
    if copy is None or age >= COPY_LIFE or missed:
        with _lock:
            copy = _copy = _read()
    return copy


def forget() -> None:
    """The next use reads the keys from the database."""
    global _copy
    _copy = None


def published() -> dict[str, Any]:
    """The JWK set of every key that verifies or will, without anything private."""
    return {"keys": [row.public for row in _verifying(timezone.now())]}


def _verifying(now: datetime) -> QuerySet[SigningKey]:
    return SigningKey.objects.filter(Q(retired_at=None) | Q(retired_at__gt=now)).order_by("signs_from", "created_at")


def _read() -> Keys:
    now = timezone.now()
    rows = list(_verifying(now))
    begun = [row for row in rows if row.signs_from <= now]
    if not begun:
        raise keyring.CannotOpen("there is no signing key; run manage.py migrate")
    current = begun[-1]
    private = json.loads(keyring.unseal(current.private, "grants_signingkey", "private", current.uuid))
    public = KeySet([ECKey.import_key(row.public) for row in rows])
    return Keys(ECKey.import_key(private), current.algorithm, public, frozenset(row.kid for row in rows), time.monotonic())


def make_first() -> None:
    """There is a signing key; two that are made at the same moment both verify."""
    if not SigningKey.objects.exists():
        make(timezone.now())


def make(signs_from: datetime) -> SigningKey:
    """A new ES256 key in the database, published now; its kid is the RFC 7638 thumbprint."""
    key = ECKey.generate_key("P-256", auto_kid=True)
    public = {**key.as_dict(private=False), "use": "sig", "alg": "ES256"}
    row = SigningKey(kid=str(key.kid), algorithm="ES256", public=public, signs_from=signs_from)
    private = {**key.as_dict(private=True), "use": "sig", "alg": "ES256"}
    row.private = keyring.seal(json.dumps(private).encode(), "grants_signingkey", "private", row.uuid)
    row.save(force_insert=True)
    return row
