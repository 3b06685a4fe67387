"""The CSV in which Microsoft Entra takes hardware tokens, and Token2 and others deliver them: columns by their names."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import BinaryIO

from devices.models import Kind
from devices.seed_files.rows import BadFile, BadRow, RefusedRow, Row, Secret, Why, algorithm_of, each, serial_of, whole
from devices.seed_files.text import cells

NEEDED = {"serialnumber", "secretkey"}


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """A row for each line under the head; BadFile without one."""
    found = cells(file)
    head = [plain(name) for name in next(found, (0, []))[1]]
    if not set(head) >= NEEDED:
        raise BadFile(Why.FORMAT)

    def row_of(number: int, line: list[str]) -> Row:
        cell = dict(zip(head, line, strict=False))
        serial = serial_of(cell.get("serialnumber", ""))
        if len(line) != len(head):
            raise RefusedRow(Why.COLUMNS, serial)
        try:
            period = whole(cell.get("timeinterval", ""), Why.PERIOD, 30)
            seed, digits = base32(cell["secretkey"]), whole(cell.get("digits", ""), Why.DIGITS, 6)
        except RefusedRow as refused:
            raise RefusedRow(refused.why, serial) from None
        model = " ".join(filter(None, (cell.get("manufacturer"), cell.get("model"))))[:100]
        algorithm = algorithm_of(cell.get("hashfunction", ""))
        return Row(number, serial, Kind.TOTP, seed, algorithm, digits, period, owner=cell.get("upn", ""), model=model)

    return each(found, row_of)


def plain(name: str) -> str:
    """The name of a column without what differs between producers."""
    return re.sub("[^a-z]", "", name.lower())


def base32(text: str) -> bytes:
    """The bytes of base 32 in any case, with spaces or not; RefusedRow for anything else."""
    compact = text.replace(" ", "").replace("-", "").rstrip("=").upper()
    try:
        return base64.b32decode(compact + "=" * (-len(compact) % 8))
    except binascii.Error:
        raise RefusedRow(Why.SEED_UNREADABLE) from None
