"""Secrets at rest: AES-256-GCM with keys from outside the database.

A sealed value is `v1.<key id>.<nonce>.<ciphertext>`, both in unpadded base64url; the table, the column and the
row's uuid are authenticated with it, so that a ciphertext copied to another row does not open. Several keys open,
the first seals. MACs use keys derived from a stored key (HKDF, RFC 5869), one for each purpose: it is sealed like every
other secret, so that the ring can change and what was signed stays verifiable.
"""

import base64
import functools
import hmac
import os
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from mfa_site.models import StoredKey

MAC = "mac"  # the stored key from which the MAC keys are derived
KEY_ID = re.compile(r"\A[a-z0-9-]{1,16}\Z")


class CannotOpen(Exception):
    """The sealed value is not ours, was changed, stands in another row, or its key is not in the ring."""


def parse(value: str) -> dict[str, bytes]:
    """`id:base64,id:base64` as a ring, in order; ImproperlyConfigured where it is not that."""
    ring: dict[str, bytes] = {}
    for part in value.split(","):
        key_id, _, encoded = part.strip().partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:
            key = b""
        if not KEY_ID.match(key_id) or len(key) != 32 or key_id in ring or len(set(key)) < 8:
            raise ImproperlyConfigured("MFA_SITE_KEYS is id:base64,id:base64 with 32 random bytes each and ids of a-z 0-9 -.")
        ring[key_id] = key
    return ring


def _ring() -> dict[str, bytes]:
    from django.conf import settings  # settings reads this module

    ring: dict[str, bytes] = settings.KEYRING
    return ring


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _b64(data) != text:
        raise ValueError("not canonical base64url")
    return data


@functools.lru_cache(maxsize=32)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


@functools.lru_cache(maxsize=64)
def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"mfa_site:{purpose}".encode()).derive(key)


def _bound(table: str, column: str, row: object) -> bytes:
    return f"{table}:{column}:{row}".encode()


def seal(secret: bytes, table: str, column: str, row: object) -> str:
    """The secret encrypted with the first key, bound to its place."""
    first, key = next(iter(_ring().items()))
    nonce = os.urandom(12)
    return f"v1.{first}.{_b64(nonce)}.{_b64(_cipher(key).encrypt(nonce, secret, _bound(table, column, row)))}"


def first_key_id() -> str:
    """The id of the key that seals."""
    return next(iter(_ring()))


def key_id(value: str) -> str:
    """The id of the key that sealed this value, or under which a `v1` MAC was made; empty for what is neither."""
    version, _, rest = value.partition(".")
    found = rest.partition(".")[0]
    return found if version == "v1" and KEY_ID.match(found) else ""


def unseal(sealed: str, table: str, column: str, row: object) -> bytes:
    """The secret that was sealed for this place; CannotOpen for anything else."""
    try:
        version, name, nonce, ciphertext = sealed.split(".")
        if version != "v1":
            raise CannotOpen("unknown version")
        return _cipher(_ring()[name]).decrypt(_unb64(nonce), _unb64(ciphertext), _bound(table, column, row))
    except KeyError:
        raise CannotOpen("its key is not in the keyring") from None
    except (ValueError, InvalidTag):
        raise CannotOpen("changed, or of another row") from None


def store(name: str, key: bytes) -> None:
    """A stored key of this name is in the database, sealed: the given one, unless there was one before."""
    from mfa_site.models import StoredKey  # models need the settings, which read this module

    row = StoredKey(name=name)
    row.sealed = seal(key, "mfa_site_storedkey", "sealed", row.uuid)
    StoredKey.objects.bulk_create([row], ignore_conflicts=True)


def stored(name: str) -> bytes:
    """The stored key of this name, read and opened now; CannotOpen if it is missing or of another keyring."""
    from mfa_site.models import StoredKey

    row = StoredKey.objects.filter(name=name).first()
    if row is None:
        raise CannotOpen(f"there is no stored key {name}; run manage.py migrate")
    return opened(row)


def opened(row: "StoredKey") -> bytes:
    """The stored key of this row; CannotOpen if it is of another keyring."""
    return unseal(row.sealed, "mfa_site_storedkey", "sealed", row.uuid)


@functools.lru_cache(maxsize=1)
def _mac_root() -> bytes:
    return stored(MAC)  # never changes once made: a copy for each process


def forget() -> None:
    """The next MAC reads its key from the database."""
    _mac_root.cache_clear()


def mac(message: bytes, purpose: str) -> str:
    """`v2.<HMAC-SHA256>` under the stored key's derivation for this purpose."""
    return "v2." + _digest(_mac_root(), message, purpose)


def mac_is_right(value: str, message: bytes, purpose: str) -> bool:
    """Whether `mac` made this value for this message.

    `v1.<key id>.<HMAC>` was made under a key of the ring itself; CannotOpen if that key is not in it any more.
    """
    if value.startswith("v2."):
        return hmac.compare_digest(value, mac(message, purpose))
    version, _, rest = value.partition(".")
    name, _, digest = rest.partition(".")
    if name not in _ring():
        raise CannotOpen("its key is not in the keyring")
    return version == "v1" and hmac.compare_digest(digest, _digest(_ring()[name], message, purpose))


def _digest(root: bytes, message: bytes, purpose: str) -> str:
    return _b64(hmac.digest(_derived(root, purpose), message, sha256))


def token_hash(token: str) -> str:
    """SHA-256 of a random token of 128 bits or more, as stored; a slow or keyed hash would add nothing there."""
    return sha256(token.encode()).hexdigest()
