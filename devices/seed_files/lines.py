"""Text files of one token a line, as people and spreadsheets write them."""

import csv
from collections.abc import Callable, Iterator
from typing import BinaryIO

from devices.seed_files import values
from devices.seed_files.rows import BadRow, Row, Unusable, Why

LONGEST = 4096  # bytes of a line
BOM = b"\xef\xbb\xbf"
DELIMITERS = (",", ";", "\t")

Line = tuple[int, str | Why]


def lines(file: BinaryIO) -> Iterator[Line]:
    """Each line that is not blank and no comment, numbered from 1 as an editor does; a reason in its place where it is too
    long or no text. Never holds more than one line."""
    file.seek(0)
    number = 0
    while raw := file.readline(LONGEST + 1):
        number += 1
        if len(raw) > LONGEST:
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(LONGEST)
            yield number, Why.LINE_TOO_LONG
            continue
        text = decoded(raw.removeprefix(BOM) if number == 1 else raw)
        if text is None:
            yield number, Why.NOT_TEXT
        elif text.strip() and not text.startswith("#"):
            yield number, text


def decoded(raw: bytes) -> str | None:
    """The line without its end; None if it is not UTF-8, or has NUL in it."""
    if b"\0" in raw:
        return None
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return None


def delimiter_of(line: str) -> str:
    """The one of , ; and tab that the line has most of."""
    return max(DELIMITERS, key=line.count)


def cells(line: str, delimiter: str) -> list[str]:
    """The line's columns, without empty ones at its end (spreadsheets add them); Unusable if quotes are not closed."""
    try:
        found = next(csv.reader([line], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        raise Unusable(Why.MALFORMED) from None
    while found and not found[-1].strip():
        found.pop()
    return found


def table(file: BinaryIO) -> Iterator[tuple[int, list[str] | Why]]:
    """The rows of a table with , ; or tab between the columns, whichever the first line has; a first line `sep=;` is taken at
    its word."""
    delimiter = ""
    for number, line in lines(file):
        if isinstance(line, Why):
            yield number, line
            continue
        if not delimiter and line.lower().startswith("sep=") and line[4:5] in DELIMITERS:
            delimiter = line[4]
            continue
        delimiter = delimiter or delimiter_of(line)
        try:
            row = cells(line, delimiter)
        except Unusable as bad:
            yield number, bad.reason
            continue
        if row:
            yield number, row


def judged(number: int, serial: str, parse: Callable[[], Row]) -> Row | BadRow:
    """What `parse` makes of the row: a token, or a refusal that names the serial if it may be shown."""
    try:
        return parse()
    except Unusable as bad:
        return BadRow(number, values.shown(serial), bad.reason)
