"""What Yubico's tools write of the keys that they program.

`serial, public id, private id, AES key, access code, time …` (also as ykksm has it), and the log of the personalization tool:
`Yubico OTP, time, slot, public id, private id, AES key …` and `OATH-HOTP, time, slot, token id, , key …`.
"""

from collections.abc import Iterator
from typing import BinaryIO

from devices.models import Kind
from devices.seed_files.oath_csv import hexadecimal
from devices.seed_files.rows import BadRow, RefusedRow, Row, Secret, Why, each, serial_of
from devices.seed_files.text import cells

MODEL = "YubiKey"
IGNORED = ("logging start", "serial", "serialnr")


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """A row for each key."""
    return each(((number, line) for number, line in cells(file) if line[0].lower() not in IGNORED), row_of)


def row_of(number: int, line: list[str]) -> Row:
    """The key of this line. The log names no serial: there the public id stands for it."""
    if line[0] == "Yubico OTP":
        _kind, _time, _slot, public, private, key = some(line, 6)
        return yubico(number, public, public, private, key)
    if line[0] == "OATH-HOTP":
        _kind, _time, _slot, name, _empty, key = some(line, 6)
        return Row(number, serial_of(name), Kind.HOTP, seed_of(key, serial_of(name)), model=MODEL)
    serial, public, private, key = some(line, 4)
    return yubico(number, serial, public, private, key)


def yubico(number: int, serial: str, public: str, private: str, key: str) -> Row:
    """A key that types Yubico OTPs."""
    name = serial_of(serial)
    seed = seed_of(private, name) + seed_of(key, name)
    return Row(number, name, Kind.YUBIOTP, seed, model=MODEL, public_id=public.lower())


def some(line: list[str], count: int) -> list[str]:
    """So many cells, of a line that may have more."""
    if len(line) < count:
        raise RefusedRow(Why.COLUMNS, serial_of(line[0]))
    return line[:count]


def seed_of(text: str, serial: str) -> bytes:
    """The bytes; RefusedRow with the serial for what is no hex."""
    try:
        return hexadecimal(text)
    except RefusedRow as refused:
        raise RefusedRow(refused.why, serial) from None
