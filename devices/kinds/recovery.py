"""Recovery codes: ten look-up secrets (NIST SP 800-63B-4 3.1.2), each usable once, in any order.

A set is one device; its codes are rows of their own with keyed hashes. They stand in for a device that is lost or
forgotten, and lead to enrolling one.
"""

from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from devices import typed_codes
from devices.kinds import Facts, Proof, by_nobody, never, no_resync, nothing_to_fill, nothing_to_show
from devices.models import Device, RecoveryCode
from mfa_site import keyring
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site

TITLE = _("Recovery codes")
HINT = _("Enter one of your ten recovery codes, any that you have not used yet.")
ABOUT = _("Ten codes on paper, for the day on which you have no device at hand.")
HEADING = _("Enter a recovery code")
PROMPT = HINT
NUMERIC = False
ANSWER = str
KEPT_ONCE = False
STRENGTH = 1
ACR = "aal2"
STANDS_IN = True
ASKS = ()
AFTERWARDS = "recovery-code-used"

CODES = 10
CODE_BYTES = 10  # 80 bits; NIST asks for 64 at least where the hash is fast


is_offered, fill = by_nobody, nothing_to_fill  # a set has pages of its own, its codes rows of their own
begin, challenge = nothing_to_show, nothing_to_show  # whoever makes a set shows it


def new_codes() -> list[str]:
    """Ten new codes, to be shown once; `store` keeps their hashes."""
    return [typed_codes.new(CODE_BYTES) for _number in range(CODES)]


def store(device: Device, codes: list[str]) -> None:
    """The new set is in the database, its codes as hashes; IntegrityError if the person has one already."""
    device.save(force_insert=True)
    RecoveryCode.objects.bulk_create(RecoveryCode(device=device, code_hash=_hash(device, clean(code))) for code in codes)


def verify(device: Device, answer: str, kept: str, site: Site, now: datetime) -> Proof:
    """The proof names the code's row. Refused: CODE_NOT_OF_SET, or RECOVERY_CODE_USED."""
    row = RecoveryCode.objects.filter(device=device, code_hash=_hash(device, clean(answer))).first()
    if row is None:
        raise Refused(Reason.CODE_NOT_OF_SET)
    if row.spent_at is not None:
        raise Refused(Reason.RECOVERY_CODE_USED)
    return Proof(code=row.pk)


confirm = verify  # nobody is asked: a set is active as soon as it is made
can_resync, resync = never, no_resync


def spend(device: Device, proof: Proof, now: datetime) -> bool:
    """This one code is used up and the set's failures forgotten; False if it was used already.

    In a transaction of the caller's: the code is not used if the set was replaced meanwhile.
    """
    return RecoveryCode(pk=proof.code).spend(now) and device.spend(proof, now)


def suggested_name(device: Device, proof: Proof) -> str:
    """The kind's own name."""
    return str(TITLE)


def facts(device: Device, proof: Proof) -> Facts:
    """NIST's look-up secret, and how many codes are left."""
    return Facts(("rc",), ACR, left=unspent(device).count(), act="recovery_code_used")


def unspent(device: Device) -> QuerySet[RecoveryCode]:
    """The codes of the set that were not used."""
    return RecoveryCode.objects.filter(device=device, spent_at=None)


def are_of(device: Device, codes: list[str]) -> bool:
    """Whether these are all the codes of the set, each once."""
    try:
        hashes = {_hash(device, clean(code)) for code in codes}
    except Refused:
        return False
    return len(hashes) == len(codes) == RecoveryCode.objects.filter(device=device, code_hash__in=hashes).count() == CODES


def clean(answer: str) -> str:
    """The code as it was made, from any case, with look-alikes put right, without spaces and dashes; else Refused."""
    code = typed_codes.clean(answer, CODE_BYTES)
    if not code:
        raise Refused(Reason.CODE_NOT_OF_SET)
    return code


def _hash(device: Device, code: str) -> str:
    return keyring.mac(f"{device.uuid}:{code}".encode(), "recovery-code")
