"""One module per kind of device, each with the same few names; nothing else dispatches on `kind`.

TITLE, HINT, ABOUT                         what people call it, what to do with it, what it is
HEADING, PROMPT, NUMERIC                   above and beside the field for its answer (`name`, `digits`); whether that is digits
ANSWER                                     the JSON type of an answer: str for a code, dict for an assertion
KEPT_ONCE                                  whether the kept challenge is taken before an answer is judged
STRENGTH                                   the higher, the sooner it is offered
ACR                                        the most that it is worth together with a password
STANDS_IN                                  whether it only stands in for a device: never the first nor the last one
ASKS                                       what a person says of it before it can be enrolled: names of fields
SENDS                                      whether its codes go out to the person, so that there is one to wait for
AFTERWARDS                                 the page (its name) to which signing in with it leads, where it is a certain one
is_offered(site) -> bool                   whether a person can enrol one here
fill(device, given, site)                  what the new, unsaved device needs is in it: a seed, what the person said
begin(device, ceremony, site, now) -> Shown         start (or show again) the enrolment of the saved device
challenge(device, ceremony, site, now) -> Shown     what the client needs to answer, and what the SignIn keeps
verify(device, answer, kept, site, now) -> Proof    judges an answer; changes nothing; raises Refused
confirm(device, answer, kept, site, now) -> Proof   judges an enrolment's answer
can_resync(device) -> bool                 whether two consecutive codes line it up again
resync(device, answers, window, now) -> Proof       judges two consecutive codes, up to `window` steps away
spend(device, proof, now) -> bool          uses the answer up, once; `spend_counter` for most
suggested_name(device, proof) -> str       a name for a device just enrolled
facts(device, proof) -> Facts              what a right answer says about the authentication: amr and acr
"""

from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any, Protocol, cast
from uuid import UUID

from django.utils.functional import Promise

from devices.models import Device, Kind
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site


@dataclass(frozen=True)
class Ceremony:
    """For what an answer is wanted: the SignIn's uuid, whose it is, what it keeps for this very device, whether the person asks
    for another code than the one that is on its way, and whether a new key has to prove what it is."""

    uuid: UUID
    person: UUID
    kept: str = ""
    again: bool = False
    attestation: bool = False


@dataclass(frozen=True)
class Shown:
    """`shown` goes to the client, under the names of the HTTP contract; `kept` stays in the SignIn."""

    shown: dict[str, Any] = field(default_factory=dict)
    kept: str = ""


@dataclass(frozen=True)
class Proof:
    """What a right answer proves; `None` where it says nothing. `columns` are what a registration adds to the row."""

    counter: int | None = None
    user_verified: bool = False
    drift: int | None = None
    backup_state: bool | None = None
    code: int | None = None  # the row of a recovery code
    doubt: str = ""  # why the attestation of a new key proves nothing
    clock: int | None = None  # seconds: how long ago a code's time had ended (negative), or until it was to begin
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """RFC 8176 values beyond `pwd` and `mfa`, and the strength (`acr`) of password and device together.

    `left`: how many answers like this one are left, where they are numbered; `act`: what their use is called in the audit.
    """

    amr: tuple[str, ...]
    acr: str
    left: int | None = None
    act: str = ""


class KindModule(Protocol):
    """The shape that a test holds every module to."""

    TITLE: str | Promise
    HINT: str | Promise
    ABOUT: str | Promise
    HEADING: str | Promise
    PROMPT: str | Promise
    NUMERIC: bool
    ANSWER: type
    KEPT_ONCE: bool
    STRENGTH: int
    ACR: str
    STANDS_IN: bool
    ASKS: tuple[str, ...]
    SENDS: bool
    AFTERWARDS: str

    def is_offered(self, site: Site) -> bool: ...
    def fill(self, device: Device, given: dict[str, str], site: Site) -> None: ...
    def begin(self, device: Device, ceremony: Ceremony, site: Site, now: datetime) -> Shown: ...
    def challenge(self, device: Device, ceremony: Ceremony, site: Site, now: datetime) -> Shown: ...
    def verify(self, device: Device, answer: Any, kept: str, site: Site, now: datetime) -> Proof: ...
    def confirm(self, device: Device, answer: Any, kept: str, site: Site, now: datetime) -> Proof: ...
    def can_resync(self, device: Device) -> bool: ...
    def resync(self, device: Device, answers: list[str], window: int, now: datetime) -> Proof: ...
    def spend(self, device: Device, proof: Proof, now: datetime) -> bool: ...
    def suggested_name(self, device: Device, proof: Proof) -> str: ...
    def facts(self, device: Device, proof: Proof) -> Facts: ...


def spend_counter(device: Device, proof: Proof, now: datetime) -> bool:
    """The proof's moving factor is used up; False if it was used already."""
    return device.spend(proof, now)


def never(device: Device) -> bool:
    """There is nothing to line up."""
    return False


def no_resync(device: Device, answers: list[str], window: int, now: datetime) -> Proof:
    """There is nothing to line up: Refused WRONG_STATE."""
    raise Refused(Reason.WRONG_STATE)


def module(kind: str) -> KindModule:
    """The module of this kind."""
    from devices.kinds import email, fido2, hotp, recovery, sms, temporary, totp, yubiotp  # they import the names above

    modules: dict[str, ModuleType] = {
        Kind.TOTP: totp,
        Kind.HOTP: hotp,
        Kind.SMS: sms,
        Kind.EMAIL: email,
        Kind.FIDO2: fido2,
        Kind.YUBIOTP: yubiotp,
        Kind.RECOVERY: recovery,
        Kind.TEMPORARY: temporary,
    }
    return cast(KindModule, modules[kind])


def title(device: Device) -> str:
    """What people call this device's kind; a token that came with a serial is no app."""
    made = module(device.kind)
    return str(getattr(made, "HARDWARE", made.TITLE) if device.serial else made.TITLE)


def offered(site: Site) -> list[tuple[str, KindModule]]:
    """The kinds of which a person can enrol a device here, strongest first; none that is off."""
    found = [(str(kind), module(kind)) for kind in Kind if kind not in site.off]
    return sorted((pair for pair in found if pair[1].is_offered(site)), key=lambda pair: -pair[1].STRENGTH)
