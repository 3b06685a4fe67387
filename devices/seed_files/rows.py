"""What a seed file says of one token, and why a row or a file is refused."""

import enum
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LARGEST = 256 * 2**20  # bytes; a hundred thousand encrypted PSKC packages with room around them
LARGEST_UPLOAD = 64 * 2**20
MOST_ROWS = 500_000


class Why(enum.Enum):
    """Why a row or a file is refused, with the sentence for people. None of them repeats what stands in the file."""

    sentence: Promise

    def __new__(cls, sentence: Promise) -> "Why":
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)  # a sentence is not to be compared while modules are loaded
        member.sentence = sentence
        return member

    # The row as such.
    LINE_TOO_LONG = _("The line is too long.")
    NOT_TEXT = _("The line is not UTF-8 text.")
    MALFORMED = _("The row cannot be read.")
    COLUMNS = _("The row has not the columns of this format.")
    NUMBER_MANGLED = _("A spreadsheet has rounded the serial or the key to a number like 1.23E+10; export them as text.")

    # What it is called.
    SERIAL_MISSING = _("The serial is missing.")
    SERIAL_TOO_LONG = _("The serial is longer than 64 characters.")
    SERIAL_NOT_PRINTABLE = _("The serial has characters other than printable ASCII.")
    SERIAL_FORMULA = _("The serial begins like a formula of a spreadsheet (= + - @).")
    MODEL = _("The model is longer than 100 characters, not printable, or begins like a formula.")
    OWNER = _("The person is longer than 254 characters or not printable.")
    OWNER_UNKNOWN = _("There is no such person, or more than one; or they are disabled, or have too many devices.")
    OWNER_NOT_YOURS = _("You may not hand tokens out to this person.")
    PUBLIC_ID = _("The public id of a YubiKey is 12 letters of modhex.")
    PRIVATE_ID = _("The private id of a YubiKey is 12 hexadecimal digits.")

    # What it computes.
    SEED_MISSING = _("The key is missing.")
    SEED_NOT_HEX = _("The key is not hexadecimal.")
    SEED_NOT_BASE32 = _("The key is not base32.")
    SEED_NOT_BASE64 = _("The key is not base64.")
    SEED_TOO_SHORT = _("The key is shorter than 112 bits.")
    SEED_TOO_LONG = _("The key is longer than 512 bits.")
    SEED_LENGTH = _("The AES key of a YubiKey has 128 bits.")
    TYPE = _("The type is none of totp, hotp and YubiKey code.")
    ALGORITHM = _("The algorithm is none of SHA-1, SHA-256 and SHA-512.")
    DIGITS = _("The number of digits is not 6, 7 or 8.")
    PERIOD = _("The period is not 30 or 60 seconds.")
    COUNTER = _("The counter is not a number from 0 up to 2^53.")
    CLOCK = _("The clock's offset or drift is not one that can be used.")
    ENCODING = _("The codes are not decimal, or have a check digit.")
    PARAMETER = _("A parameter is unknown or stands there twice.")

    # The key policy (RFC 6030 section 5): what is not understood must not be used.
    KEY_USAGE = _("The key policy does not allow one-time passwords.")
    PIN_POLICY = _("The key policy wants a PIN that this service would have to check.")
    POLICY = _("The key policy has a condition that this service does not know.")
    DATES = _("A date of the key policy cannot be read, or its end is before its beginning.")
    EXPIRED = _("The key policy's end has come.")

    # Its encryption.
    CIPHER = _("The encryption algorithm is not supported.")
    CIPHERTEXT = _("The encrypted value cannot be read.")
    MAC_MISSING = _("The encrypted value has no MAC, which its algorithm needs.")
    MAC_WRONG = _("The MAC is wrong: the value was changed, or the key is another one.")
    NOT_OPENED = _("The value does not open: it was changed, or the key is another one.")

    # What is there already.
    SERIAL_TWICE = _("The serial stands in the file before.")
    SEED_TWICE = _("The key stands in the file before.")
    PUBLIC_ID_TWICE = _("The public id stands in the file before.")
    SERIAL_KNOWN = _("There is a device with this serial already.")
    SEED_KNOWN = _("There is a device with this key already.")
    NOT_IN_STOCK = _("The device with this serial is not in stock, so it cannot be replaced.")
    PUBLIC_ID_KNOWN = _("There is a YubiKey with this public id already.")

    # The file as such.
    FILE_EMPTY = _("There is no token in the file.")
    FILE_TOO_LARGE = _("The file is too large.")
    FILE_TOO_MANY_ROWS = _("The file has too many rows.")
    FILE_NOT_TEXT = _("The file is neither text nor XML.")
    FILE_COLUMNS = _("The first line does not name the columns of this format.")
    FILE_FORMAT = _("The file's format is unknown.")
    FILE_CHANGED = _("The file or the stock has changed meanwhile; nothing was kept.")
    FILE_NOT_XML = _("The file is not well-formed XML.")
    FILE_DTD = _("The file declares a document type or entities, which no seed file needs.")
    FILE_TOO_DEEP = _("The XML is nested too deeply, or an element or attribute is too large.")
    FILE_NOT_PSKC = _("The file is no PSKC container of version 1.0 (RFC 6030).")
    KEY_NEEDED = _("The file is encrypted with a pre-shared key; give it.")
    PASSPHRASE_NEEDED = _("The file is encrypted with a passphrase; give it.")
    PRIVATE_KEY_NEEDED = _("The file is encrypted for a certificate; give its private key.")
    KEY_UNREADABLE = _("The key is not 16, 24 or 32 bytes in hexadecimal.")
    PRIVATE_KEY_UNREADABLE = _("The private key is not an RSA key in unencrypted PEM.")
    KEY_WRONG = _("The key or passphrase is not this file's.")
    CERTIFICATE = _("The file is encrypted for another certificate than that of the private key.")
    DERIVATION = _(
        "The passphrase's key derivation is not PBKDF2 with a salt, a key length and a hash function that are known."
    )
    ITERATIONS = _("The key derivation asks for more than 2,000,000 iterations.")
    FILE_MAC = _("The file's MAC algorithm is not supported, or its key cannot be read.")


@dataclass(frozen=True, slots=True)
class Row:
    """One token as its file describes it. `number`: of the line or of the package, from 1. `counter`: of HOTP, the next one
    that the token will use. `seed` of a YubiKey: private id (6 bytes) and AES key (16). `drift` in periods."""

    number: int
    serial: str
    kind: str  # totp, hotp, yubiotp
    seed: bytes = field(repr=False)
    algorithm: str = "sha1"
    digits: int = 6
    period: int = 30
    counter: int = 0
    drift: int = 0
    owner: str = ""
    model: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    public_id: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is refused; `serial` is empty where it has none that can be shown."""

    number: int
    serial: str
    reason: Why


@dataclass(frozen=True, slots=True)
class Secret:
    """What opens an encrypted file: `key` in hexadecimal, a passphrase, or an RSA key as PEM."""

    key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    private_key: bytes = field(default=b"", repr=False)


class Unusable(Exception):
    """This row is refused."""

    def __init__(self, reason: Why) -> None:
        super().__init__(reason.name)
        self.reason = reason


class BadFile(Exception):
    """The file is refused as a whole; `number` is the row at which that was seen, 0 for none."""

    def __init__(self, reason: Why, number: int = 0) -> None:
        super().__init__(reason.name)
        self.reason, self.number = reason, number
