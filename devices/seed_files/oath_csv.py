"""OATH CSV: `serial,key (hex),totp|hotp,digits,period|counter[,sha1|sha256|sha512]`, with or without a line of headings."""

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from devices.seed_files import values
from devices.seed_files.lines import judged, table
from devices.seed_files.rows import BadFile, BadRow, Row, Secret, Unusable, Why

SERIAL_HEADINGS = {"serial", "serial number", "serialnumber", "serial no", "serial no."}
KEY_HEADINGS = ("key", "seed", "secret")


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """The file's tokens; BadFile where its headings name other columns."""
    first = True
    for number, cells in table(file):
        if isinstance(cells, Why):
            yield BadRow(number, "", cells)
        elif first and cells[0].strip().lower() in SERIAL_HEADINGS:
            if len(cells) < 5 or not cells[1].strip().lower().startswith(KEY_HEADINGS):
                raise BadFile(Why.FILE_COLUMNS, number)
        else:
            yield judged(number, cells[0], partial(token, number, cells))
        first = False


def token(number: int, cells: list[str]) -> Row:
    """The row's token; Unusable."""
    name = values.serial(cells[0])
    if len(cells) not in (5, 6):
        raise Unusable(Why.COLUMNS)
    kind, seed = cells[2].strip().lower(), values.seed_of_hex(cells[1])
    if kind not in ("totp", "hotp"):
        raise Unusable(Why.TYPE)
    digits = values.digits(cells[3])
    algorithm = values.algorithm(cells[5] if len(cells) == 6 else "sha1")
    if kind == "totp":
        return Row(number, name, kind, seed, algorithm, digits, period=values.period(cells[4]))
    return Row(number, name, kind, seed, algorithm, digits, counter=values.counter(cells[4]))
