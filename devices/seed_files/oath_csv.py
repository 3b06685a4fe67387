"""OATH CSV: `serial, key (hex), totp|hotp, digits, period|counter [, sha1|sha256|sha512]`."""

from collections.abc import Iterator
from typing import BinaryIO

from devices.models import Kind
from devices.seed_files.rows import BadRow, RefusedRow, Row, Secret, Why, algorithm_of, each, serial_of, whole
from devices.seed_files.text import cells

NAMES = ("serial", "serial number", "serialnumber", "serial no")


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """A row for each line but the head."""
    return each(((number, line) for number, line in cells(file) if line[0].lower() not in NAMES), row_of)


def row_of(number: int, line: list[str]) -> Row:
    """The token of this line."""
    serial = serial_of(line[0])
    if not 2 <= len(line) <= 6:
        raise RefusedRow(Why.COLUMNS, serial)
    _serial, key, kind, digits, moving, algorithm = [*line, "", "", "", ""][:6]
    kind = kind.lower() or Kind.HOTP
    try:
        period = whole(moving, Why.PERIOD, 30) if kind == Kind.TOTP else 30
        counter = whole(moving, Why.COUNTER) if kind == Kind.HOTP else 0
        seed, length = hexadecimal(key), whole(digits, Why.DIGITS, 6)
    except RefusedRow as refused:
        raise RefusedRow(refused.why, serial) from None
    return Row(number, serial, kind, seed, algorithm_of(algorithm), length, period, counter)


def hexadecimal(text: str) -> bytes:
    """The bytes of hex digits, spaces between them or not; RefusedRow for anything else."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise RefusedRow(Why.SEED_UNREADABLE) from None
