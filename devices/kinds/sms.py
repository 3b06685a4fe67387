"""SMS: a code sent to a phone number. NIST calls it restricted (SP 800-63B-4 3.1.3.3): off unless a sender is set.

The code number n of a device is HOTP(seed, n): no code is stored or queued, and a ceremony keeps the number, with
its end. The moving factor is that number, so that a code is used once and only in the ceremony for
which it was sent; asking anew replaces it.
"""

import secrets
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from devices import addresses, oath, sending
from devices.kinds import Ceremony, Facts, Proof, Shown, by_anybody, never, no_resync, spend_counter
from devices.models import Device
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site

TITLE = _("Text message")
HINT = _("Enter the code that we send to your phone.")
ABOUT = _("A code as a text message. It needs no app, but it is easier to intercept: add something stronger if you can.")
HEADING = _("Enter your code")
PROMPT = _("The %(digits)d digits in the message.")
NUMERIC = True
ANSWER = str
KEPT_ONCE = False  # the code stays until the fifth wrong answer ends the ceremony
STRENGTH = 10
ACR = "aal2"
STANDS_IN = False
ASKS = ("address",)
AFTERWARDS = ""

DIGITS = 6


def fill(device: Device, given: dict[str, str], site: Site) -> None:
    """The new device has a phone number in E.164 and a seed; Refused MALFORMED for what is no mobile number."""
    device.address, device.digits = addresses.phone(given["address"]), DIGITS
    device.seed = secrets.token_bytes(oath.SEED_BYTES)


def challenge(device: Device, ceremony: Ceremony, site: Site, now: datetime) -> Shown:
    """A code is on its way, or still the one before where no other is asked for; the person sees where to.

    Refused TOO_MANY_ATTEMPTS too soon after the one before, UNAVAILABLE without a sender.
    """
    kept = "" if ceremony.again else ceremony.kept or _on_its_way(device, ceremony, now)
    if not kept:
        kept = _kept(sending.send(device, ceremony.uuid, ceremony.person, now), now)
    return Shown({"sent_to": addresses.masked(device.address)}, kept, not_sent=device.unsent == _number(kept))


begin = challenge  # who has the code has the phone


def _on_its_way(device: Device, ceremony: Ceremony, now: datetime) -> str:
    """What the ceremony kept before the person looked at another device; nothing if no code went out for it lately."""
    if device.sent_for != ceremony.uuid or device.sent_at is None or now - device.sent_at > sending.LIFE:
        return ""
    return _kept(device.sent, device.sent_at)


def _kept(number: int, at: datetime) -> str:
    return f"{number}.{int((at + sending.LIFE).timestamp())}"


def _number(kept: str) -> int:
    return int(kept.partition(".")[0])


def verify(device: Device, answer: str, kept: str, site: Site, now: datetime) -> Proof:
    """The proof carries the code's number. Refused: NO_CHALLENGE where none was sent in the last minutes, NOT_SENT, for right
    and wrong ones alike, where it certainly did not go out, CODE_…, or ANSWER_USED."""
    number, until = (int(part) for part in kept.split(".")) if kept else (0, 0)
    if now.timestamp() > until:  # the ceremony may live longer, by other choices
        raise Refused(Reason.NO_CHALLENGE)
    if device.unsent == number:
        raise Refused(Reason.NOT_SENT)
    code = oath.one_code(answer, device.digits)
    if oath.first_match(device, [code], range(number, number + 1)) is None:
        raise Refused(Reason.CODE_SENT_WRONG, to=addresses.masked(device.address))
    if number <= device.counter:
        raise Refused(Reason.ANSWER_USED)
    return Proof(counter=number)


is_offered, confirm, spend = by_anybody, verify, spend_counter
can_resync, resync = never, no_resync


def suggested_name(device: Device, proof: Proof) -> str:
    """The kind's own name; the number is nobody's business who looks over a shoulder."""
    return str(TITLE)


def facts(device: Device, proof: Proof) -> Facts:
    """A code to the phone network (RFC 8176)."""
    return Facts(("sms",), ACR)
