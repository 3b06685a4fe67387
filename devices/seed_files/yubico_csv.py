"""What Yubico's tools write when they load keys: two layouts, told apart line by line.

`serial,public id (modhex),private id (hex),AES key (hex)[,access code,timestamp,…]`, and the personalisation tool's log:
`Yubico OTP,time,slot,public id,private id,AES key,…` and `OATH-HOTP,time,slot,token id,,key,…` with the number of digits in
column 12 and the counter in column 13.
The log knows no serials: the public id stands for it. Access codes are not kept.
"""

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from devices.seed_files import values
from devices.seed_files.lines import judged, table
from devices.seed_files.rows import BadRow, Row, Secret, Unusable, Why

OTP, HOTP = "yubico otp", "oath-hotp"
NO_KEYS = {"logging start", "logging stop"}
OTHERS = {"static password", "challenge-response: yubico", "challenge-response: hmac-sha1", "challenge-response"}
EVENTS = {OTP, HOTP} | NO_KEYS | OTHERS
NOBODY = "cccccccccccc"  # twelve zeros: a token id that was never set


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """The file's YubiKeys."""
    first = True
    for number, cells in table(file):
        if isinstance(cells, Why):
            yield BadRow(number, "", cells)
        elif (event := cells[0].strip().lower()) in NO_KEYS or (first and event.startswith("serial")):
            pass
        elif event in EVENTS:
            yield judged(number, cells[3] if len(cells) > 3 else "", partial(logged, number, event, cells))
        else:
            yield judged(number, cells[0], partial(listed, number, cells))
        first = False


def listed(number: int, cells: list[str]) -> Row:
    """The token of a row that begins with the serial; Unusable."""
    name = values.serial(cells[0])
    if not 4 <= len(cells) <= 12:
        raise Unusable(Why.COLUMNS)
    return yubikey(number, name, *cells[1:4])


def yubikey(number: int, serial: str, public_id: str, private_id: str, key: str) -> Row:
    """A YubiKey whose codes begin with the public id; Unusable."""
    seed = values.yubikey_secret(private_id, values.seed_of_hex(key))
    return Row(number, serial, "yubiotp", seed, public_id=values.public_id(public_id), model="YubiKey")


def logged(number: int, event: str, cells: list[str]) -> Row:
    """The token of a line of the log; Unusable."""
    if event not in (OTP, HOTP):
        raise Unusable(Why.TYPE)
    if len(cells) < 6:
        raise Unusable(Why.COLUMNS)
    if event == OTP:
        return yubikey(number, values.public_id(cells[3]).upper(), *cells[3:6])
    name = cells[3].strip()
    if not name or name.lower() == NOBODY:
        raise Unusable(Why.SERIAL_MISSING)
    digits, counter = (cells[place].strip() if place < len(cells) else "" for place in (11, 12))
    return Row(
        number,
        values.serial(name),
        "hotp",
        values.seed_of_hex(cells[5]),
        digits=values.digits(digits or "6"),
        counter=values.counter(counter or "0"),
        model="YubiKey",
    )
