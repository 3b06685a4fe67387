"""The form of Yubico OTPs (https://developers.yubico.com/OTP/OTPs_Explained.html)."""

import re

from mfa_site.errors import Reason, Refused

MODHEX = "cbdefghijklnrtuv"  # hexadecimal digits in letters that most keyboard layouts have in the same place
TO_HEX = str.maketrans(MODHEX, "0123456789abcdef")
OTP = re.compile(rf"\A([{MODHEX}]{{12}})([{MODHEX}]{{32}})\Z")
CRC_RESIDUE = 0xF0B8


def parts(answer: str) -> tuple[str, str]:
    """The public id and the encrypted part, in small modhex letters; Refused CODE_NO_YUBICO_OTP for anything else."""
    # ASCII first: the Kelvin sign becomes a k by `lower`.
    found = OTP.match(answer.strip().lower()) if len(answer) <= 200 and answer.isascii() else None
    if found is None:
        raise Refused(Reason.CODE_NO_YUBICO_OTP)
    return found[1], found[2]


def from_modhex(text: str) -> bytes:
    """The bytes that modhex letters stand for."""
    return bytes.fromhex(text.translate(TO_HEX))


def crc(block: bytes) -> int:
    """The CRC of the block (ISO 13239), which is CRC_RESIDUE over a block that ends in its own."""
    value = 0xFFFF
    for byte in block:
        value ^= byte
        for _bit in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
    return value
