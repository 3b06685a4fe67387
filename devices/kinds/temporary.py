"""A temporary code, issued by an administrator to somebody who has no device at hand: a few uses, an end, a keyed hash.

It stands in for a device and leads to enrolling one; what it opens beyond that is for policy to say.
"""

from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from devices import typed_codes
from devices.kinds import Facts, Proof, by_nobody, never, no_resync, nothing_to_show
from devices.models import Device
from mfa_site import keyring
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site, this_site

TITLE = _("Temporary code")
HINT = _("Enter the code that your administrator gave you.")
ABOUT = _("A code for the day on which you have no device at hand.")
HEADING = _("Enter your temporary code")
PROMPT = HINT
NUMERIC = False
ANSWER = str
KEPT_ONCE = False
STRENGTH = 2
ACR = "aal1"
STANDS_IN = True
ASKS = ()
AFTERWARDS = "temporary-code-used"

CODE_BYTES = 5  # 40 bits; guesses are counted and five wrong ones in a row pause it


is_offered = by_nobody  # administrators issue one
begin, challenge = nothing_to_show, nothing_to_show  # whoever issues it shows it


def fill(device: Device, given: dict[str, str], site: Site) -> None:
    """The new device has the hash of the code that is given."""
    device.secret_hash = _hash(device.uuid, typed_codes.clean(given["code"], CODE_BYTES))


def new_code() -> str:
    """A code to be shown once."""
    return typed_codes.new(CODE_BYTES)


def verify(device: Device, answer: str, kept: str, site: Site, now: datetime) -> Proof:
    """It is the code. Refused: CODE_NOT_TEMPORARY, or TEMPORARY_CODE_USED where no use is left."""
    code = typed_codes.clean(answer, CODE_BYTES)
    if not code or not keyring.mac_is_right(device.secret_hash, _message(device.uuid, code), "temporary-code"):
        raise Refused(Reason.CODE_NOT_TEMPORARY)
    if not device.uses_left:
        raise Refused(Reason.TEMPORARY_CODE_USED)
    return Proof()


confirm = verify  # nobody is asked: it is active as soon as it is issued
can_resync, resync = never, no_resync


def spend(device: Device, proof: Proof, now: datetime) -> bool:
    """One use less; False if none was left."""
    return device.spend_use(now)


def suggested_name(device: Device, proof: Proof) -> str:
    """The kind's own name."""
    return str(TITLE)


def facts(device: Device, proof: Proof) -> Facts:
    """Ours: RFC 8176 has no word for it. What it is worth is a setting."""
    return Facts(("tmp",), this_site().temporary_acr, left=(device.uses_left or 1) - 1, act="temporary_code_used")


def _message(uuid: UUID, code: str) -> bytes:
    return f"{uuid}:{code}".encode()


def _hash(uuid: UUID, code: str) -> str:
    return keyring.mac(_message(uuid, code), "temporary-code")
