"""A list of `otpauth://` URIs, one a line; the account in each is the serial number."""

import binascii
from collections.abc import Iterator
from typing import BinaryIO

import pyotp

from devices.models import Kind
from devices.seed_files.entra_csv import base32
from devices.seed_files.rows import BadRow, RefusedRow, Row, Secret, Why, algorithm_of, each, serial_of
from devices.seed_files.text import lines


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """A row for each line."""
    return each(lines(file), row_of)


def row_of(number: int, line: str) -> Row:
    """The token of this URI."""
    try:
        otp = pyotp.parse_uri(line)
    except (ValueError, binascii.Error, KeyError):  # its words could hold the key
        raise RefusedRow(Why.COLUMNS) from None
    serial, algorithm = serial_of(str(otp.name or "")), algorithm_of(str(otp.digest().name))
    model, seed = str(otp.issuer or "")[:100], base32(otp.secret)
    if isinstance(otp, pyotp.TOTP):
        return Row(number, serial, Kind.TOTP, seed, algorithm, otp.digits, otp.interval, model=model)
    return Row(number, serial, Kind.HOTP, seed, algorithm, otp.digits, counter=getattr(otp, "initial_count", 0), model=model)
