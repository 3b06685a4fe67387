"""Seed files: what the factory says of the tokens that it made. One module for each format, each with `read(file, secret)`.

They read a row at a time and keep none; whatever is wrong with a row is a BadRow, whatever is wrong with the file BadFile.
"""

import itertools
import re
from collections.abc import Iterator
from typing import BinaryIO

from devices.seed_files import entra_csv, lines, oath_csv, otpauth_list, pskc, yubico_csv
from devices.seed_files.rows import LARGEST, LARGEST_UPLOAD, MOST_ROWS, BadFile, BadRow, Row, Secret, Why
from devices.yubico import MODHEX

__all__ = ["FORMATS", "LARGEST", "LARGEST_UPLOAD", "MOST_ROWS", "BadFile", "BadRow", "Row", "Secret", "Why", "detect", "read"]

FORMATS = {
    "oath-csv": oath_csv.read,
    "pskc": pskc.read,
    "yubico-csv": yubico_csv.read,
    "entra-csv": entra_csv.read,
    "otpauth": otpauth_list.read,
}
HEAD = 8192  # bytes that tell the format
YUBICO = re.compile(rf"\A[^,;\t]*[,;\t]\s*[{MODHEX}]{{12}}\s*[,;\t]\s*[0-9a-f]{{12}}\s*[,;\t]", re.IGNORECASE)
XML = (b"<", b"<\0", b"\0<")  # in UTF-8, and in both byte orders of UTF-16


def detect(head: bytes) -> str:
    """The format of the file that begins with these bytes; BadFile where it is none."""
    begins = head.removeprefix(lines.BOM).removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").lstrip()
    if begins.startswith(XML):
        return "pskc"
    if b"\0" in head:
        raise BadFile(Why.FILE_NOT_TEXT)
    found = (raw.decode(errors="replace").strip() for raw in begins.splitlines())
    told = (line for line in found if line and not line.startswith("#") and not line.lower().startswith("sep="))
    first = next(told, "").lower()
    if not first:
        raise BadFile(Why.FILE_EMPTY)
    if first.strip('"').startswith("otpauth://"):
        return "otpauth"
    if YUBICO.match(first) or first.split(lines.delimiter_of(first))[0].strip() in yubico_csv.EVENTS:
        return "yubico-csv"
    squeezed = first.replace(" ", "").replace("_", "")
    if "secretkey" in squeezed and "timeinterval" in squeezed:
        return "entra-csv"
    return "oath-csv"


def read(file: BinaryIO, file_format: str, secret: Secret, largest: int = LARGEST) -> Iterator[Row | BadRow]:
    """The tokens of the seekable file, from its beginning; BadFile where it is refused as a whole.

    Whether seeds are long enough, dates are past or rows are known is the importer's to judge (`devices.stock`).
    """
    if file.seek(0, 2) > largest:
        raise BadFile(Why.FILE_TOO_LARGE)
    file.seek(0)
    if file_format not in FORMATS:
        raise BadFile(Why.FILE_FORMAT)
    rows = FORMATS[file_format](file, secret)
    yield from itertools.islice(rows, MOST_ROWS)
    if next(rows, None) is not None:
        raise BadFile(Why.FILE_TOO_MANY_ROWS)
