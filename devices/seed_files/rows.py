"""What a seed file says of one token, and why a row or a whole file is refused."""

import enum
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from devices.models import Kind

Raw = TypeVar("Raw")

SERIAL_LENGTH = 64
SEED_BYTES = range(14, 65)  # NIST SP 800-63B-4 3.1.4 asks for 112 bits; SHA-512 has use for no more than 64 bytes
YUBICO_BYTES = 22  # private id and AES key
FORMULA = re.compile(r"\A[=+\-@\t]")  # a spreadsheet would run it when somebody opens a report
MANGLED = re.compile(r"\A[0-9][.,]?[0-9]*E\+?[0-9]+\Z")  # what a spreadsheet makes of a long number
MOST_COUNTER = 2**62


class Why(enum.Enum):
    """Why a row or a file is refused, and the sentence for it. None of them holds anything of a seed."""

    sentence: str | Promise

    def __new__(cls, sentence: Any) -> "Why":
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)
        member.sentence = sentence
        return member

    # A row.
    COLUMNS = _("It has not the columns of this format.")
    SERIAL_MISSING = _("It has no serial number.")
    SERIAL_TEXT = _("The serial number is no plain text of at most 64 characters.")
    SERIAL_FORMULA = _("The serial number begins like a formula of a spreadsheet.")
    SERIAL_MANGLED = _("A spreadsheet has rounded the serial number. Export it as text.")
    SEED_MISSING = _("It has no secret key.")
    SEED_UNREADABLE = _("The secret key cannot be read.")
    SEED_SHORT = _("The secret key is too short: it takes 112 bits (14 bytes).")
    SEED_LONG = _("The secret key is too long: it takes at most 64 bytes.")
    TYPE = _("It is no TOTP, HOTP or Yubico OTP token.")
    ALGORITHM = _("Its algorithm is none of SHA-1, SHA-256 and SHA-512.")
    DIGITS = _("Its codes have not 6 to 8 decimal digits, or a check digit.")
    PERIOD = _("Its codes change neither every 30 nor every 60 seconds.")
    COUNTER = _("Its counter is no number from 0 on.")
    DATE = _("A date in it cannot be read.")
    PUBLIC_ID = _("Its public id is not 12 letters of modhex.")
    USAGE = _("Its policy does not allow it for one-time passwords.")
    PIN = _("Its policy asks for a PIN as part of the code.")
    POLICY = _("Its policy says something that is not known here.")
    MAC_MISSING = _("It is encrypted without a MAC, so that nobody can tell whether it was changed.")
    MAC_WRONG = _("Its MAC is wrong: it was changed, or this is not its key.")
    WRONG_KEY = _("It does not open with this key.")
    CIPHER = _("It is encrypted in a way that is not known here.")
    TWICE = _("Its serial number stands in the file twice.")
    SEED_TWICE = _("Its secret key stands in the file twice.")
    KNOWN = _("A token with this serial number is here already.")
    SEED_KNOWN = _("A token with this secret key is here already.")
    EXPIRED = _("Its time is over.")
    OWNER = _("Nobody here has the name that it is for.")

    # A file.
    FORMAT = _("This is no seed file of a known format.")
    TEXT = _("The file is no text in UTF-8.")
    XML = _("The XML of the file is broken.")
    XML_UNSAFE = _("The XML of the file has a document type or entities. No seed file needs them, so it is refused.")
    TOO_LARGE = _("The file, or a part of it, is larger than any seed file.")
    EMPTY = _("The file has no token.")
    VERSION = _("The file is of a version that is not known here.")
    KEY_NEEDED = _("The file is encrypted: give its key, passphrase or private key.")
    KEY_FORM = _("The key is not of the kind or length that the file asks for.")
    ITERATIONS = _("The file asks for more work to derive its key than it is worth.")
    DERIVATION = _("The key of the file is derived in a way that is not known here.")
    RACE = _("Another import brought one of its tokens at the same moment. Nothing of this one was kept.")


@dataclass(frozen=True)
class Row:
    """One token. `counter`: the next one of an HOTP token; `owner`: whom the file names; `seed` never leaves this process."""

    number: int
    serial: str
    kind: str
    seed: bytes = field(repr=False)
    algorithm: str = "sha1"
    digits: int = 6
    period: int = 30
    counter: int = 0
    owner: str = ""
    model: str = ""
    public_id: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True)
class BadRow:
    """A row that is refused: which, its serial as far as it can be shown, and why."""

    number: int
    serial: str
    why: Why


class RefusedRow(Exception):
    """Raised while a row is read."""

    def __init__(self, why: Why, serial: str = "") -> None:
        super().__init__(why.name)
        self.why, self.serial = why, serial


class BadFile(Exception):
    """The whole file is refused."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.name)
        self.why = why


@dataclass(frozen=True)
class Secret:
    """With what an encrypted file opens."""

    key: bytes | None = field(default=None, repr=False)
    passphrase: bytes | None = field(default=None, repr=False)
    private_key: RSAPrivateKey | None = field(default=None, repr=False)


def each(raw: Iterable[tuple[int, Raw]], read: Callable[[int, Raw], Row | None]) -> Iterator[Row | BadRow]:
    """Every row as `read` makes it, or the reason why not; rows of which it makes nothing are none."""
    for number, one in raw:
        try:
            row = read(number, one)
            if row is not None:
                yield checked(row)
        except RefusedRow as refused:
            yield BadRow(number, shown(refused.serial), refused.why)


def checked(row: Row) -> Row:
    """The row, if it is one that this service can use; else RefusedRow."""

    def demand(holds: bool, why: Why) -> None:
        if not holds:
            raise RefusedRow(why, row.serial)

    demand(bool(row.serial), Why.SERIAL_MISSING)
    demand(len(row.serial) <= SERIAL_LENGTH and row.serial.isascii() and row.serial.isprintable(), Why.SERIAL_TEXT)
    demand(not FORMULA.match(row.serial), Why.SERIAL_FORMULA)
    demand(not MANGLED.match(row.serial), Why.SERIAL_MANGLED)
    demand(row.kind in (Kind.TOTP, Kind.HOTP, Kind.YUBIOTP), Why.TYPE)
    demand(bool(row.seed), Why.SEED_MISSING)
    if row.kind == Kind.YUBIOTP:
        demand(len(row.seed) == YUBICO_BYTES, Why.SEED_UNREADABLE)
        demand(bool(re.fullmatch("[cbdefghijklnrtuv]{12}", row.public_id)), Why.PUBLIC_ID)
        return row
    demand(len(row.seed) >= SEED_BYTES.start, Why.SEED_SHORT)
    demand(len(row.seed) < SEED_BYTES.stop, Why.SEED_LONG)
    demand(row.algorithm in ("sha1", "sha256", "sha512"), Why.ALGORITHM)
    demand(6 <= row.digits <= 8, Why.DIGITS)
    demand(row.kind != Kind.TOTP or row.period in (30, 60), Why.PERIOD)
    demand(0 <= row.counter <= MOST_COUNTER, Why.COUNTER)
    return row


def serial_of(text: str) -> str:
    """As serials are kept: in capitals, without spaces around."""
    return text.strip().upper()


def shown(text: str) -> str:
    """So much of a serial that may stand in a report."""
    clean = "".join(c for c in text[:SERIAL_LENGTH] if c.isprintable())
    return clean.lstrip("=+-@")


def algorithm_of(text: str) -> str:
    """`sha1`, `sha256` or `sha512` from any of their spellings; other text as it is."""
    found = re.fullmatch(r"(?:hmac)?-?sha-?(1|256|512)", text.strip().lower())
    return f"sha{found[1]}" if found else text.strip().lower() or "sha1"


def whole(text: str, why: Why, default: int = 0) -> int:
    """The number in a cell, or the default where it is empty; RefusedRow for anything else."""
    text = text.strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise RefusedRow(why)
    return int(text)
