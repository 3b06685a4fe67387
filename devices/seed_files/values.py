"""The values of a row, each judged in one place: given as the file spells it, returned as it is stored, else Unusable."""

import base64
import re

from devices import yubico
from devices.seed_files.rows import Unusable, Why

HEX = re.compile(r"\A(?:[0-9A-Fa-f]{2})+\Z")
BASE32 = re.compile(r"\A[A-Z2-7]+=*\Z")
MODHEX_ID = re.compile(rf"\A[{yubico.MODHEX}]{{12}}\Z")
# 1,23457E+12, as spreadsheets round; digits with an E alone are hexadecimal, or a serial.
MANGLED = re.compile(r"\A(?:[0-9]+[.,][0-9]+[Ee][+-]?|[0-9]+[Ee]\+)[0-9]+\Z")
LIKE_A_KEY = re.compile(r"\A(?:[0-9A-F]{28,}|[A-Z2-7]{23,}=*)\Z")  # 112 bits in hexadecimal or base32, and more
NUMBER = re.compile(r"\A[0-9]{1,16}\Z")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
ALGORITHMS = {
    spelling: name
    for name in ("sha1", "sha256", "sha512")
    for spelling in (name, name.replace("sha", "sha-"), "hmac" + name, "hmac-" + name, "hmac-" + name.replace("sha", "sha-"))
}
MOST_COUNTER = 2**53
MOST_DRIFT = 1000  # periods; as far as an administrator can line a token up


def serial(text: str) -> str:
    """The serial, stripped and in capitals, as it is looked for."""
    stripped = text.strip(" ")
    if not stripped:
        raise Unusable(Why.SERIAL_MISSING)
    if stripped.startswith(FORMULA):
        raise Unusable(Why.SERIAL_FORMULA)
    if not (stripped.isascii() and stripped.isprintable()):
        raise Unusable(Why.SERIAL_NOT_PRINTABLE)
    if len(stripped) > 64:
        raise Unusable(Why.SERIAL_TOO_LONG)
    if MANGLED.match(stripped):
        raise Unusable(Why.NUMBER_MANGLED)
    return stripped.upper()


def shown(text: str) -> str:
    """The serial for the report of a bad row, empty if it is not one that may be shown: columns in the wrong order would show
    the key."""
    try:
        found = serial(text)
    except Unusable:
        return ""
    return unless_a_key(found)


def unless_a_key(text: str) -> str:
    """The text, empty if it could be a key that stands in the wrong column."""
    return "" if LIKE_A_KEY.match(text.replace(" ", "").upper()) else text


def seed_of_hex(text: str) -> bytes:
    """The key from hexadecimal digits, with or without spaces between them."""
    digits = _key_text(text)
    if not HEX.match(digits):
        raise Unusable(Why.SEED_NOT_HEX)
    return bytes.fromhex(digits)


def seed_of_base32(text: str) -> bytes:
    """The key from base32 (RFC 4648), in small or capital letters, with or without spaces and padding."""
    letters = _key_text(text).upper().rstrip("=")
    if not BASE32.match(letters):
        raise Unusable(Why.SEED_NOT_BASE32)
    try:
        return base64.b32decode(letters + "=" * (-len(letters) % 8))
    except ValueError:
        raise Unusable(Why.SEED_NOT_BASE32) from None


def _key_text(text: str) -> str:
    compact = text.replace(" ", "")
    if not compact:
        raise Unusable(Why.SEED_MISSING)
    if MANGLED.match(compact):
        raise Unusable(Why.NUMBER_MANGLED)
    return compact


def base64_bytes(text: str, why: Why) -> bytes:
    """Base64 with white space around and in it, nothing else; `why` for anything that is not canonical."""
    compact = "".join(text.split())
    try:
        return base64.b64decode(compact, validate=True)
    except ValueError:
        raise Unusable(why) from None


def algorithm(text: str) -> str:
    """sha1, sha256 or sha512, from the spellings that producers use."""
    found = ALGORITHMS.get(text.strip().lower())
    if found is None:
        raise Unusable(Why.ALGORITHM)
    return found


def digits(text: str) -> int:
    """6, 7 or 8."""
    return _one_of(text, (6, 7, 8), Why.DIGITS)


def period(text: str) -> int:
    """30 or 60."""
    return _one_of(text, (30, 60), Why.PERIOD)


def _one_of(text: str, known: tuple[int, ...], why: Why) -> int:
    if text.strip() not in map(str, known):
        raise Unusable(why)
    return int(text)


def counter(text: str) -> int:
    """The next event counter; beyond 2^53 numbers do not pass through JSON unharmed."""
    if not NUMBER.match(text.strip()) or int(text) > MOST_COUNTER:
        raise Unusable(Why.COUNTER)
    return int(text)


def model(*parts: str) -> str:
    """Manufacturer and model, whatever of them is there."""
    text = " ".join(part.strip() for part in parts if part.strip())
    if len(text) > 100 or not text.isprintable() or text.startswith(FORMULA):
        raise Unusable(Why.MODEL)
    return text


def owner(text: str) -> str:
    """The name or address of a person, as it was spelt."""
    stripped = text.strip()
    if len(stripped) > 254 or not stripped.isprintable():
        raise Unusable(Why.OWNER)
    return stripped


def public_id(text: str) -> str:
    """Twelve letters of modhex, small."""
    letters = text.strip().lower()
    if not MODHEX_ID.match(letters):
        raise Unusable(Why.PUBLIC_ID)
    return letters


def yubikey_secret(private_id: str, key: bytes) -> bytes:
    """What is sealed of a YubiKey: the private id (6 bytes) and the AES key (16)."""
    compact = private_id.strip()
    if len(compact) != 12 or not HEX.match(compact):
        raise Unusable(Why.PRIVATE_ID)
    if len(key) != 16:
        raise Unusable(Why.SEED_LENGTH)
    return bytes.fromhex(compact) + key
