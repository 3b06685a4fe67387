"""E-mail: a code sent to a mail address, in all else as `sms`. No second factor in NIST's sense (SP 800-63B-4 3.1.3.1), so it
is off unless it is switched on, and never worth more than `aal1`."""

import secrets

from django.utils.translation import gettext_lazy as _

from devices import addresses, oath
from devices.kinds import Facts, Proof, by_anybody, never, no_resync, sms, spend_counter
from devices.models import Device
from mfa_site.site import Site

TITLE = _("E-mail")
HINT = _("Enter the code that we send to your mail address.")
ABOUT = _("A code by mail. It lets you see your account and add a device, nothing else.")
HEADING = _("Enter your code")
PROMPT = _("The %(digits)d digits in the message.")
NUMERIC = True
ANSWER = str
KEPT_ONCE = False
STRENGTH = 5
ACR = "aal1"
STANDS_IN = False
ASKS = ("address",)
AFTERWARDS = ""

DIGITS = 8


def fill(device: Device, given: dict[str, str], site: Site) -> None:
    """The new device has a mail address and a seed; Refused MALFORMED for what is no address."""
    device.address, device.digits = addresses.mail(given["address"]), DIGITS
    device.seed = secrets.token_bytes(oath.SEED_BYTES)


is_offered, begin, challenge, verify, confirm = by_anybody, sms.begin, sms.challenge, sms.verify, sms.confirm
spend, can_resync, resync = spend_counter, never, no_resync


def suggested_name(device: Device, proof: Proof) -> str:
    """The kind's own name."""
    return str(TITLE)


def facts(device: Device, proof: Proof) -> Facts:
    """Ours: RFC 8176 has no word for it."""
    return Facts(("email",), ACR)
