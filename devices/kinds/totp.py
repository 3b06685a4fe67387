"""TOTP (RFC 6238): a code shown by an authenticator app or by a hardware OATH token.

The moving factor is the time step. A step is accepted once and later steps must be higher, the enrolment's
code included. The window is one step to each side of the device's stored drift. An answer of two codes in a row lines up a
device whose clock has gone further astray.
"""

import secrets
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from devices import oath
from devices.kinds import Ceremony, Facts, Proof, Shown, by_anybody, nothing_to_show, spend_counter
from devices.models import Device
from devices.qr import svg
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site

TITLE = _("Authenticator app")
HARDWARE = _("Token with a display")
HINT = _("Enter the code that it shows.")
ABOUT = _("A free app on your phone that shows a new code every 30 seconds.")
HEADING = _("Enter your code")
PROMPT = _("The %(digits)d digits that “%(name)s” shows now.")
NUMERIC = True
ANSWER = str
KEPT_ONCE = False
STRENGTH = 20
ACR = "aal2"
STANDS_IN = False
ASKS = ()
AFTERWARDS = ""

WINDOW = 1  # steps to each side, RFC 6238 5.2
MOST_LEARNED = 10  # steps of drift that are learned by the way; beyond it two codes are asked for
TOLD_AHEAD = 10  # steps; a code of the future is told to be right only where whoever guessed it could not wait for its time


is_offered, challenge = by_anybody, nothing_to_show


def fill(device: Device, given: dict[str, str], site: Site) -> None:
    """The new device has a seed of its own."""
    device.seed = secrets.token_bytes(oath.SEED_BYTES)


def begin(device: Device, ceremony: Ceremony, site: Site, now: datetime) -> Shown:
    """The person sees the seed as key, URI and QR, the same each time."""
    uri = oath.otpauth_uri(device, site)
    return Shown({"secret": oath.base32(device.seed), "otpauth_uri": uri, "qr_svg": svg(uri)})


def verify(device: Device, answer: str, kept: str, site: Site, now: datetime) -> Proof:
    """The proof carries the code's time step. Refused: CODE_…, or ANSWER_USED for a step that is not higher.

    Two codes in a row are judged as `resync` does.
    """
    given = oath.codes(answer, device.digits) if can_resync(device) else [oath.one_code(answer, device.digits)]
    if len(given) == 2:
        return resync(device, given, oath.RESYNC_WINDOW, now)
    expected = _step(device, now)
    step = oath.first_match(device, given, range(expected - WINDOW, expected + WINDOW + 1))
    if step is None:
        raise _wrong(device, given, expected)
    return _proof(device, step, now, _learned(device, step, now))


confirm = verify  # a code of the new seed proves that the app has it
spend = spend_counter


def can_resync(device: Device) -> bool:
    """A hardware token; a phone sets its clock by itself, and what was lined up with a wrong one would refuse the right one."""
    return bool(device.serial)


def resync(device: Device, answers: list[str], window: int, now: datetime) -> Proof:
    """The proof carries the second code's step and the drift that follows from it. Refused CODES_NOT_CONSECUTIVE where the
    two do not follow each other, the second one within so many steps of the time that it is."""
    given, expected = oath.two_codes(answers, device.digits), int(now.timestamp()) // device.period
    # The second one is on screen when they are sent.
    step = oath.first_match(device, given, range(expected - window - 1, expected + window))
    if step is None:
        raise Refused(Reason.CODES_NOT_CONSECUTIVE)
    return _proof(device, step + 1, now, step + 1 - expected)


def suggested_name(device: Device, proof: Proof) -> str:
    """What the seed file says of a hardware token; an app says nothing of itself."""
    return device.model or str(HARDWARE if device.serial else TITLE)


def facts(device: Device, proof: Proof) -> Facts:
    """An app is software; a token with a serial came from a factory and is hardware."""
    return Facts(("otp", "hwk" if device.serial else "swk"), ACR)


def code_now(device: Device, now: datetime) -> str:
    """The code that the device shows now; for the demo page."""
    return oath.at(device, _step(device, now))


def _step(device: Device, now: datetime) -> int:
    return int(now.timestamp()) // device.period + device.drift


def _wrong(device: Device, given: list[str], expected: int) -> Refused:
    # Only a code that can never be right any more, or soon, is told to be one of this device.
    near = range(expected - oath.RESYNC_WINDOW, expected + TOLD_AHEAD + 1)
    step = oath.first_match(device, given, near)
    if step is None or step <= device.counter:
        return Refused(Reason.CODE_WRONG, seconds=device.period)
    seconds = (step - expected) * device.period
    return Refused(Reason.CODE_OUT_OF_SYNC, seconds=seconds, can_resync=can_resync(device))


def _proof(device: Device, step: int, now: datetime, drift: int | None) -> Proof:
    if step <= device.counter:
        raise Refused(Reason.ANSWER_USED)
    return Proof(counter=step, drift=drift, clock=_clock(device, step, now))


def _learned(device: Device, step: int, now: datetime) -> int | None:
    """How far a hardware token's clock is off, learned a step at a time; a phone sets its clock itself."""
    drift = step - int(now.timestamp()) // device.period
    return drift if device.serial and abs(drift) <= max(MOST_LEARNED, abs(device.drift)) else None


def _clock(device: Device, step: int, now: datetime) -> int:
    """Seconds by which the code was early, or negative, late; 0 for the code of this very step."""
    moment, begin, end = int(now.timestamp()), step * device.period, (step + 1) * device.period
    return max(0, begin - moment) or min(0, end - 1 - moment)
