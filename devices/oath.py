"""Codes of OATH devices (RFC 4226, RFC 6238): what TOTP, HOTP and codes that are sent have in common."""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pyotp

from devices.models import Device
from devices.yubico import MODHEX
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site

SEED_BYTES = 20  # 160 bits, RFC 4226 R6
RESYNC_WINDOW = 100  # steps or presses in which a person's two codes are looked for; RFC 4226 7.4 leaves it to the operator
RESYNC_WINDOW_ADMINISTRATOR = 1_000
DIGESTS: dict[str, Callable[..., Any]] = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}
YUBICO_OTP = re.compile(rf"\A[{MODHEX}]{{32,48}}\Z")


def codes(answer: str, digits: int) -> list[str]:
    """The one code that was typed, or two in a row, without the spaces and hyphens that people type: exactly this many ASCII
    digits each, else Refused."""
    typed = answer.replace(" ", "").replace("-", "")
    if YUBICO_OTP.match(typed.lower()):
        raise Refused(Reason.CODE_LOOKS_LIKE_YUBIKEY)
    if not (typed.isascii() and typed.isdigit()):
        raise Refused(Reason.CODE_NOT_DIGITS)
    if len(typed) not in (digits, 2 * digits):
        raise Refused(Reason.CODE_LENGTH, digits=digits, given=len(typed))
    return [typed[start : start + digits] for start in range(0, len(typed), digits)]


def one_code(answer: str, digits: int) -> str:
    """The same where two in a row mean nothing."""
    found = codes(answer, digits)
    if len(found) != 1:
        raise Refused(Reason.CODE_LENGTH, digits=digits, given=digits * len(found))
    return found[0]


def two_codes(answers: list[str], digits: int) -> list[str]:
    """The two codes that line a device up again; else Refused."""
    if len(answers) != 2:
        raise Refused(Reason.MALFORMED)
    return [one_code(answer, digits) for answer in answers]


def at(device: Device, factor: int) -> str:
    """The device's code for this moving factor: a time step, an event counter, the number of a code that is sent."""
    return _hotp(device).at(factor)


def first_match(device: Device, wanted: list[str], factors: range) -> int | None:
    """The first of these moving factors whose code, with those of the following ones, is what is wanted; None if none is."""
    hotp = _hotp(device)
    for factor in factors:
        if all(hotp.verify(code, factor + number) for number, code in enumerate(wanted)):
            return factor
    return None


def otpauth_uri(device: Device, site: Site) -> str:
    """The key URI that authenticator apps read; parameters are left out where they are the usual ones."""
    account = device.user.get_username() if device.user else device.name
    secret, digest = base32(device.seed), DIGESTS[device.algorithm]
    otp: Any
    if device.kind == "totp":
        otp = pyotp.TOTP(secret, digits=device.digits, digest=digest, interval=device.period)
    else:
        otp = pyotp.HOTP(secret, digits=device.digits, digest=digest, initial_count=device.counter + 1)
    return str(otp.provisioning_uri(name=account, issuer_name=site.issuer))


def base32(seed: bytes) -> str:
    """The seed as apps and people exchange it, without padding."""
    return base64.b32encode(seed).decode().rstrip("=")


def _hotp(device: Device) -> pyotp.HOTP:
    return pyotp.HOTP(base32(device.seed), digits=device.digits, digest=DIGESTS[device.algorithm])
