"""HOTP (RFC 4226): a code for each press of a button, on a hardware token or in an app that counts.

The moving factor is the event counter. A code is looked for among the next ten, and what was accepted moves the counter past
it. An answer of two codes in a row lines up a token that was pressed more often than that.
"""

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from devices import oath
from devices.kinds import Facts, Proof, spend_counter, totp
from devices.models import Device
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site

TITLE = _("Token with a button")
HINT = _("Press the button once and enter the code that it shows.")
ABOUT = _("A token that shows a new code each time you press its button, and that you can load with a key yourself.")
HEADING = _("Enter your code")
PROMPT = _("Press the button of “%(name)s” once and enter the %(digits)d digits.")
NUMERIC = True
ANSWER = str
KEPT_ONCE = False
STRENGTH = 19
ACR = "aal2"
STANDS_IN = False
ASKS = ()
AFTERWARDS = ""

LOOK_AHEAD = 10  # presses that nobody typed; each one more is another code that a guess may hit

# As an app's: a seed is made, shown as key, URI and QR, and there is nothing to ask for.
is_offered, fill, begin, challenge = totp.is_offered, totp.fill, totp.begin, totp.challenge


def verify(device: Device, answer: str, kept: str, site: Site, now: datetime) -> Proof:
    """The proof carries the code's counter. Refused: CODE_…, or ANSWER_USED for the code that was accepted last.

    Two codes in a row are judged as `resync` does.
    """
    given = oath.codes(answer, device.digits)
    if len(given) == 2:
        return resync(device, given, oath.RESYNC_WINDOW, now)
    following = device.counter + 1
    counter = oath.first_match(device, given, range(following, following + LOOK_AHEAD))
    if counter is not None:
        return Proof(counter=counter)
    if device.counter >= 0 and oath.first_match(device, given, range(device.counter, following)) is not None:
        raise Refused(Reason.ANSWER_USED)
    beyond = range(following + LOOK_AHEAD, following + oath.RESYNC_WINDOW)
    ahead = oath.first_match(device, given, beyond) is not None
    raise Refused(Reason.CODE_OUT_OF_SYNC if ahead else Reason.CODE_WRONG, seconds=0)


confirm = verify  # a code of the new seed proves that the token has it
spend = spend_counter


def can_resync(device: Device) -> bool:
    """Whatever counts can be pressed too often."""
    return True


def resync(device: Device, answers: list[str], window: int, now: datetime) -> Proof:
    """The proof carries the second code's counter. Refused CODES_NOT_CONSECUTIVE where the two do not follow each other among
    the next `window`; ANSWER_USED where they are the ones that were accepted last."""
    given, following = oath.two_codes(answers, device.digits), device.counter + 1
    counter = oath.first_match(device, given, range(following, following + window))
    if counter is not None:
        return Proof(counter=counter + 1)
    used = device.counter >= 1 and oath.first_match(device, given, range(device.counter - 1, device.counter)) is not None
    raise Refused(Reason.ANSWER_USED if used else Reason.CODES_NOT_CONSECUTIVE)


def suggested_name(device: Device, proof: Proof) -> str:
    """What the seed file says of it, else the kind's own name."""
    return device.model or str(TITLE)


def facts(device: Device, proof: Proof) -> Facts:
    """A token with a serial came from a factory and is hardware; whatever a person loaded may be an app."""
    return Facts(("otp", "hwk" if device.serial else "swk"), ACR)
