"""Yubico OTP: 44 letters that a YubiKey types when it is touched; the first twelve name the key.

Keys from a seed file are checked here (their secret is the private id and the AES key); those that a person enrols are checked
by the validation server of the operator (`devices.yubico_server`). The moving factor is the usage counter, then the session
counter.
"""

import hmac
from datetime import datetime

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from django.utils.translation import gettext_lazy as _

from devices import yubico, yubico_server
from devices.kinds import Facts, Proof, never, nothing_to_fill, nothing_to_show, spend_counter
from devices.models import Device
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site, this_site

TITLE = _("YubiKey code")
HINT = _("Click into the field and touch your YubiKey.")
ABOUT = _("The long code that a YubiKey types when you touch it.")
HEADING = _("Touch your YubiKey")
PROMPT = HINT
NUMERIC = False
ANSWER = str
KEPT_ONCE = False
STRENGTH = 25
ACR = "aal2"
STANDS_IN = False
ASKS = ()
AFTERWARDS = ""

PRIVATE_ID = 6  # bytes of the secret; the AES key follows


def is_offered(site: Site) -> bool:
    """Where a validation server is set; keys from a seed file are handed out, or taken by their serial."""
    return site.yubico


fill, begin, challenge = nothing_to_fill, nothing_to_show, nothing_to_show  # the first touch brings the key's name


def verify(device: Device, answer: str, kept: str, site: Site, now: datetime) -> Proof:
    """The proof carries usage and session counter. Refused: CODE_NO_YUBICO_OTP, CODE_OTHER_YUBIKEY, CODE_WRONG, ANSWER_USED;
    UNAVAILABLE where a validation server is needed and away."""
    public_id, encrypted = yubico.parts(answer)
    if device.public_id and public_id != device.public_id:
        raise Refused(Reason.CODE_OTHER_YUBIKEY)
    counter = _judge(device.seed, encrypted) if device.secret else yubico_server.validate(public_id + encrypted)
    if counter <= device.counter:
        raise Refused(Reason.ANSWER_USED)
    return Proof(counter=counter, columns={} if device.public_id else {"public_id": public_id})


confirm = verify  # the first touch of a key that a person enrols
spend, can_resync = spend_counter, never  # never out of step: each code carries its counter


def resync(device: Device, answers: list[str], window: int, now: datetime) -> Proof:
    """Two touches one after the other: the proof of the second; for a key that is taken from stock by its serial."""
    if len(answers) != 2:
        raise Refused(Reason.MALFORMED)
    first, second = (verify(device, answer, "", this_site(), now) for answer in answers)
    if first.counter is None or second.counter is None or first.counter >= second.counter:
        raise Refused(Reason.CODES_NOT_CONSECUTIVE)
    return second


def suggested_name(device: Device, proof: Proof) -> str:
    """What it is."""
    return "YubiKey"


def facts(device: Device, proof: Proof) -> Facts:
    """A code of hardware."""
    return Facts(("otp", "hwk"), ACR)


def _judge(secret: bytes, encrypted: str) -> int:
    """The counter in a code of this secret; Refused CODE_WRONG for a code of any other."""
    private_id, key = secret[:PRIVATE_ID], secret[PRIVATE_ID:]
    # The format is one block without a mode (Yubico's OTP specification, 2.4): ECB of a single block.
    block = Cipher(AES(key), ECB()).decryptor().update(yubico.from_modhex(encrypted))  # noqa: S305
    if yubico.crc(block) != yubico.CRC_RESIDUE or not hmac.compare_digest(block[:PRIVATE_ID], private_id):
        raise Refused(Reason.CODE_WRONG, touch=True)
    # Private id, usage counter, time, session counter, random, CRC; low byte first.
    usage, session = int.from_bytes(block[6:8], "little") & 0x7FFF, block[11]
    return usage << 8 | session
