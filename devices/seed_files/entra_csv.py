"""The CSV that Microsoft Entra takes and Token2 ships: `upn,serial number,secret key,time interval,manufacturer,model`.

The line of headings has to be there, in any order; the key is base32; codes have six digits. A `hash function` may follow.
"""

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from devices.seed_files import values
from devices.seed_files.lines import judged, table
from devices.seed_files.rows import BadFile, BadRow, Row, Secret, Unusable, Why

NEEDED = {"serialnumber", "secretkey", "timeinterval"}
KNOWN = NEEDED | {"upn", "manufacturer", "model", "hashfunction"}


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """The file's tokens; BadFile where the headings are not these."""
    columns: list[str] = []
    for number, cells in table(file):
        if isinstance(cells, Why):
            yield BadRow(number, "", cells)
        elif not columns:
            columns = headings(cells, number)
        else:
            place = columns.index("serialnumber")
            yield judged(number, cells[place] if place < len(cells) else "", partial(token, number, columns, cells))


def headings(cells: list[str], number: int) -> list[str]:
    """The columns' names, without spaces and what stands in brackets; BadFile where they are not this format's."""
    names = [cell.partition("(")[0].replace(" ", "").replace("_", "").lower() for cell in cells]
    if not NEEDED <= set(names) <= KNOWN or len(set(names)) != len(names):
        raise BadFile(Why.FILE_COLUMNS, number)
    return names


def token(number: int, columns: list[str], cells: list[str]) -> Row:
    """The row's token; Unusable."""
    if len(cells) > len(columns):
        raise Unusable(Why.COLUMNS)
    given = dict.fromkeys(KNOWN, "") | dict(zip(columns, cells, strict=False))
    return Row(
        number,
        values.serial(given["serialnumber"]),
        "totp",
        values.seed_of_base32(given["secretkey"]),
        algorithm=values.algorithm(given["hashfunction"] or "sha1"),
        period=values.period(given["timeinterval"]),
        owner=values.owner(given["upn"]),
        model=values.model(given["manufacturer"], given["model"]),
    )
