"""Seed files that are text: lines, and cells in them."""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from devices.seed_files.rows import BadFile, Why

LONGEST_LINE = 4096  # bytes; a row of a token has a few hundred
BOM = b"\xef\xbb\xbf"
DELIMITERS = ",;\t"


def lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Each line that is neither blank nor a comment, with its number; BadFile for what is no text."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise BadFile(Why.TOO_LARGE)
        try:
            text = line.removeprefix(BOM if number == 1 else b"").decode().strip("\r\n \t\ufeff")
        except UnicodeDecodeError:
            raise BadFile(Why.TEXT) from None
        if "\0" in text:
            raise BadFile(Why.TEXT)
        if text and not text.startswith("#"):
            yield number, text


def cells(file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Each line in cells. The first line tells which sign stands between them: a spreadsheet may have put another."""
    delimiter = ""
    for number, text in lines(file):
        delimiter = delimiter or max(DELIMITERS, key=text.count)
        yield number, split(text, delimiter)


def split(text: str, delimiter: str) -> list[str]:
    """The cells of a line, without spaces around."""
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter))]
    except (csv.Error, StopIteration):
        return [text]
