"""TOTP (RFC 6238): a code shown by an authenticator app or by a hardware OATH token.

The moving factor is the time step. A step is accepted once and later steps must be higher, the enrolment's
code included. The window is one step to each side of the device's stored drift.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyotp
from django.utils.translation import gettext_lazy as _

from devices.kinds import Facts, Proof, Shown, spend_counter
from devices.models import Device
from devices.qr import svg
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site

TITLE = _("Authenticator app")
HINT = _("Enter the code that the app shows.")
ABOUT = _("A free app on your phone that shows a new code every 30 seconds.")
ANSWER = str
KEPT_ONCE = False
STRENGTH = 20
STANDS_IN = False

SEED_BYTES = 20  # 160 bits, RFC 4226 R6
WINDOW = 1  # steps to each side, RFC 6238 5.2
MOST_DRIFT = 10  # steps; beyond it a token has to be lined up with two codes
DIGESTS: dict[str, Callable[..., Any]] = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}
MODHEX = re.compile(r"\A[cbdefghijklnrtuv]{32,48}\Z")


def begin(device: Device, site: Site, now: datetime) -> Shown:
    """A seed is sealed into the unsaved device (or stays, to be shown again); the person sees it as key, URI and QR."""
    if not device.secret:
        device.seed = secrets.token_bytes(SEED_BYTES)
    uri = otpauth_uri(device, site)
    return Shown({"secret": _base32(device.seed), "otpauth_uri": uri, "qr_svg": svg(uri)})


def challenge(device: Device, site: Site, now: datetime) -> Shown:
    """Nothing: the device shows its code by itself."""
    return Shown()


def verify(device: Device, answer: str, kept: str, site: Site, now: datetime) -> Proof:
    """The proof carries the code's time step. Refused: CODE_…, or ANSWER_USED for a step that is not higher."""
    code = clean(answer, device.digits)
    moment = int(now.timestamp()) + device.drift * device.period
    try:
        step = _totp(device).verify_and_get_timecode(code, for_time=moment, valid_window=WINDOW)
    except pyotp.OTPVerificationError:
        raise Refused(Reason.CODE_WRONG, seconds=device.period) from None
    if step <= device.counter:
        raise Refused(Reason.ANSWER_USED)
    return Proof(counter=step, drift=_drift(device, step, now), clock=_clock(device, step, now))


confirm = verify  # a code of the new seed proves that the app has it
spend = spend_counter


def suggested_name(proof: Proof) -> str:
    """The kind's own name: an app says nothing of itself."""
    return str(TITLE)


def facts(device: Device, proof: Proof) -> Facts:
    """An app is software; a token with a serial came from a factory and is hardware."""
    return Facts(("otp", "hwk" if device.serial else "swk"), "aal2")


def code_now(device: Device, now: datetime) -> str:
    """The code that the device shows now; for the demo page."""
    return _totp(device).at(int(now.timestamp()) + device.drift * device.period)


def clean(answer: str, digits: int) -> str:
    """The code without the spaces and hyphens that people type: exactly this many ASCII digits, else Refused."""
    code = answer.replace(" ", "").replace("-", "")
    if MODHEX.match(code):
        raise Refused(Reason.CODE_LOOKS_LIKE_YUBIKEY)
    if not (code.isascii() and code.isdigit()):
        raise Refused(Reason.CODE_NOT_DIGITS)
    if len(code) != digits:
        raise Refused(Reason.CODE_LENGTH, digits=digits, given=len(code))
    return code


def otpauth_uri(device: Device, site: Site) -> str:
    """The key URI that authenticator apps read; parameters are left out where they are the usual ones."""
    account = device.user.get_username() if device.user else device.name
    return _totp(device).provisioning_uri(name=account, issuer_name=site.issuer)


def _drift(device: Device, step: int, now: datetime) -> int | None:
    """How far a hardware token's clock is off, learned a step at a time; a phone sets its clock itself."""
    if not device.serial:
        return None
    return max(-MOST_DRIFT, min(MOST_DRIFT, step - int(now.timestamp()) // device.period))


def _clock(device: Device, step: int, now: datetime) -> int:
    """Seconds by which the code was early, or negative, late; 0 for the code of this very step."""
    moment, begin, end = int(now.timestamp()), step * device.period, (step + 1) * device.period
    return max(0, begin - moment) or min(0, end - 1 - moment)


def _base32(seed: bytes) -> str:
    return base64.b32encode(seed).decode().rstrip("=")


def _totp(device: Device) -> pyotp.TOTP:
    digest = DIGESTS[device.algorithm]
    return pyotp.TOTP(_base32(device.seed), digits=device.digits, digest=digest, interval=device.period)
