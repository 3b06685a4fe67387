"""Secrets at rest: AES-256-GCM with keys from outside the database.

A sealed value is `v1.<key id>.<nonce>.<ciphertext>`, both in unpadded base64url; the table, the column and the
row's uuid are authenticated with it, so that a ciphertext copied to another row does not open. Several keys open,
the first seals. MACs use keys derived from the same ring, one for each purpose (HKDF, RFC 5869).
"""

import base64
import functools
import hmac
import os
import re
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import ImproperlyConfigured

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
    key_id, key = next(iter(_ring().items()))
    nonce = os.urandom(12)
    return f"v1.{key_id}.{_b64(nonce)}.{_b64(_cipher(key).encrypt(nonce, secret, _bound(table, column, row)))}"


def unseal(sealed: str, table: str, column: str, row: object) -> bytes:
    """The secret that was sealed for this place; CannotOpen for anything else."""
    try:
        version, key_id, nonce, ciphertext = sealed.split(".")
        if version != "v1":
            raise CannotOpen("unknown version")
        return _cipher(_ring()[key_id]).decrypt(_unb64(nonce), _unb64(ciphertext), _bound(table, column, row))
    except KeyError:
        raise CannotOpen("its key is not in the keyring") from None
    except (ValueError, InvalidTag):
        raise CannotOpen("changed, or of another row") from None


def mac(message: bytes, purpose: str) -> str:
    """`v1.<key id>.<HMAC-SHA256>` under the first key's derivation for this purpose."""
    key_id, key = next(iter(_ring().items()))
    return f"v1.{key_id}.{_b64(hmac.digest(_derived(key, purpose), message, sha256))}"


def mac_is_right(value: str, message: bytes, purpose: str) -> bool:
    """Whether `mac` made this value for this message; CannotOpen if its key is not in the ring."""
    version, _, rest = value.partition(".")
    key_id, _, digest = rest.partition(".")
    if key_id not in _ring():
        raise CannotOpen("its key is not in the keyring")
    expected = _b64(hmac.digest(_derived(_ring()[key_id], purpose), message, sha256))
    return version == "v1" and hmac.compare_digest(digest, expected)


def token_hash(token: str) -> str:
    """SHA-256 of a random token of 128 bits or more, as stored; a slow or keyed hash would add nothing there."""
    return sha256(token.encode()).hexdigest()
