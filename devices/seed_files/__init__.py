"""Seed files: what producers of hardware tokens deliver, read row by row and never kept."""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from devices.seed_files import entra_csv, oath_csv, otpauth_list, pskc, yubico_csv
from devices.seed_files.rows import BadFile, BadRow, Row, Secret, Why
from devices.seed_files.text import BOM, DELIMITERS, split

LONGEST_FILE = 512 * 1024 * 1024  # bytes; a hundred thousand tokens in PSKC have about 150 MiB
MOST_ROWS = 1_000_000
HEAD = 8192  # bytes by which a format is known
MODHEX, HEX = re.compile("[cbdefghijklnrtuv]{12}"), re.compile("[0-9A-Fa-f]{12}")

FORMATS: dict[str, Callable[[BinaryIO, Secret], Iterator[Row | BadRow]]] = {
    "pskc": pskc.read,
    "oath-csv": oath_csv.read,
    "entra-csv": entra_csv.read,
    "yubico-csv": yubico_csv.read,
    "otpauth": otpauth_list.read,
}


def detect(head: bytes) -> str:
    """The format of a file that begins so; BadFile if it is none of these."""
    text = head.removeprefix(BOM).decode("utf-8", "replace").lstrip()
    if text.startswith("<"):
        return "pskc"
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    if first.lower().startswith("otpauth://"):
        return "otpauth"
    cells = split(first, max(DELIMITERS, key=first.count))
    names = {entra_csv.plain(cell) for cell in cells}
    if names >= entra_csv.NEEDED:
        return "entra-csv"
    if first.startswith(("Yubico OTP,", "OATH-HOTP,", "LOGGING START")) or (
        len(cells) >= 4 and MODHEX.fullmatch(cells[1].lower()) and HEX.fullmatch(cells[2])
    ):
        return "yubico-csv"
    if len(cells) >= 2 and (cells[0].lower() in oath_csv.NAMES or re.fullmatch("[0-9A-Fa-f ]{2,200}", cells[1])):
        return "oath-csv"
    raise BadFile(Why.FORMAT)


def read(file: BinaryIO, format: str, secret: Secret) -> Iterator[Row | BadRow]:
    """Every token of the file from its beginning; BadFile where it is refused as a whole, which may be after some rows."""
    file.seek(0)
    count = 0
    for row in FORMATS[format](file, secret):
        count += 1
        if count > MOST_ROWS:
            raise BadFile(Why.TOO_LARGE)
        yield row
    if not count:
        raise BadFile(Why.EMPTY)
