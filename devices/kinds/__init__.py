"""One module per kind of device, each with the same few names; nothing else dispatches on `kind`.

TITLE, HINT, ABOUT                         what people call it, what to do with it, what it is
ANSWER                                     the JSON type of an answer: str for a code, dict for an assertion
KEPT_ONCE                                  whether the kept challenge is taken before an answer is judged
STRENGTH                                   the higher, the sooner it is offered
STANDS_IN                                  whether it only stands in for a device: never the first nor the last one
begin(device, site, now) -> Shown          start (or show again) an enrolment
challenge(device, site, now) -> Shown      what the client needs to answer, and what the SignIn keeps
verify(device, answer, kept, site, now) -> Proof    judges an answer; pure; raises Refused
confirm(device, answer, kept, site, now) -> Proof   judges an enrolment's answer
spend(device, proof, now) -> bool          uses the answer up, once; `spend_counter` for most
suggested_name(proof) -> str               a name for a device just enrolled
facts(device, proof) -> Facts              what a right answer says about the authentication: amr and acr
"""

from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any, Protocol, cast

from django.utils.functional import Promise

from devices.models import Device, Kind
from mfa_site.site import Site


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
    clock: int | None = None  # seconds: how long ago a code's time had ended (negative), or until it was to begin
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """RFC 8176 values beyond `pwd` and `mfa`, and the strength (`acr`) of password and device together.

    `left`: how many answers like this one are left, where they are numbered.
    """

    amr: tuple[str, ...]
    acr: str
    left: int | None = None


class KindModule(Protocol):
    """The shape that a test holds every module to."""

    TITLE: str | Promise
    HINT: str | Promise
    ABOUT: str | Promise
    ANSWER: type
    KEPT_ONCE: bool
    STRENGTH: int
    STANDS_IN: bool

    def begin(self, device: Device, site: Site, now: datetime) -> Shown: ...
    def challenge(self, device: Device, site: Site, now: datetime) -> Shown: ...
    def verify(self, device: Device, answer: Any, kept: str, site: Site, now: datetime) -> Proof: ...
    def confirm(self, device: Device, answer: Any, kept: str, site: Site, now: datetime) -> Proof: ...
    def spend(self, device: Device, proof: Proof, now: datetime) -> bool: ...
    def suggested_name(self, proof: Proof) -> str: ...
    def facts(self, device: Device, proof: Proof) -> Facts: ...


def spend_counter(device: Device, proof: Proof, now: datetime) -> bool:
    """The proof's moving factor is used up; False if it was used already."""
    return device.spend(proof, now)


def module(kind: str) -> KindModule:
    """The module of this kind."""
    from devices.kinds import fido2, recovery, totp  # they import the names above

    modules: dict[str, ModuleType] = {Kind.TOTP: totp, Kind.FIDO2: fido2, Kind.RECOVERY: recovery}
    return cast(KindModule, modules[kind])
