"""What the policies of a person's groups and everybody's ask of devices, read with the row that is looked at anyway.

Each policy is one Rule, and a device has to satisfy all of them: that is the same as the strictest of each field.
What stands in for a device (a recovery or temporary code) is not held against the weakest acceptable strength, but opens
no more than it takes to add a device where it is below it (docs/decisions/0011).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.db.models.expressions import RawSQL

from accounts.models import Attestation, GroupPolicy, SignIn, User
from devices import kinds
from devices.models import Attested, Device, Kind
from mfa_site.errors import Reason, Refused
from mfa_site.proof import ACR

FIELDS = ("weakest_acr", "kinds", "attestation", "key_models", "sms", "email")
SWITCHES = {Kind.SMS: "sms", Kind.EMAIL: "email"}  # kinds that have a field of their own

# One more column of a statement instead of one statement more. {owner} is its column with the person's id.
_OF_A_PERSON = (
    " FROM accounts_grouppolicy p LEFT JOIN auth_group g ON g.id = p.group_id WHERE p.group_id IS NULL OR EXISTS"
    " (SELECT 1 FROM accounts_user_groups m WHERE m.group_id = p.group_id AND m.user_id = {owner})"
)
_COLUMNS = (
    "'group', g.name, 'weakest_acr', p.weakest_acr, 'kinds', {kinds}, 'attestation', p.attestation,"
    " 'key_models', {key_models}, 'sms', p.sms, 'email', p.email"
)
_JSON = {
    "postgresql": "(SELECT CAST(COALESCE(json_agg(json_build_object("
    + _COLUMNS.format(kinds="p.kinds", key_models="p.key_models")
    + ")), '[]') AS text)",
    "sqlite": "(SELECT json_group_array(json_object("
    + _COLUMNS.format(kinds="json(p.kinds)", key_models="json(p.key_models)")
    + "))",
}


@dataclass(frozen=True)
class Rule:
    """One policy. `group`: its name, None for everybody's."""

    group: str | None = None
    weakest_acr: str = ACR[0]
    kinds: frozenset[str] | None = None
    attestation: str = Attestation.ANY
    key_models: frozenset[str] = frozenset()
    sms: bool = True
    email: bool = True

    @classmethod
    def of(cls, row: GroupPolicy) -> "Rule":
        """What the row says."""
        return _rule({"group": row.group.name if row.group else None, **{name: getattr(row, name) for name in FIELDS}})

    def against_kind(self, kind: str) -> str:
        """The field by which no device of this kind will do; empty where one may."""
        if kind in SWITCHES:
            if not getattr(self, SWITCHES[Kind(kind)]):
                return SWITCHES[Kind(kind)]
        elif self.kinds is not None and kind not in self.kinds:
            return "kinds"
        module = kinds.module(kind)
        return "weakest_acr" if self.is_above(module.ACR) and not module.STANDS_IN else ""

    def against_key(self, attested: str, aaguid: UUID | None) -> str:
        """The field by which a security key that proved this will not do; empty where it will."""
        proven = attested == Attested.CERTIFIED or (attested == Attested.MODEL and self.attestation != Attestation.CERTIFIED)
        listed = self.attestation != Attestation.LISTED or str(aaguid) in self.key_models
        return "" if self.attestation == Attestation.ANY or (proven and listed) else "attestation"

    def against(self, device: Device) -> str:
        """The field by which the device will not do; empty where it will."""
        found = self.against_kind(device.kind)
        return found or (self.against_key(device.attested, device.aaguid) if device.kind == Kind.FIDO2 else "")

    def is_above(self, acr: str) -> bool:
        """Whether more than this strength is asked for."""
        return ACR.index(acr) < ACR.index(self.weakest_acr)


@dataclass(frozen=True)
class Rules:
    """Those that apply to one person, none of them perhaps."""

    rules: tuple[Rule, ...] = ()

    def against_kind(self, kind: str) -> str:
        """As of one rule, of the first that objects."""
        return _first(rule.against_kind(kind) for rule in self.rules)

    def against_key(self, attested: str, aaguid: UUID | None) -> str:
        """As of one rule, of the first that objects."""
        return _first(rule.against_key(attested, aaguid) for rule in self.rules)

    def against(self, device: Device) -> str:
        """As of one rule, of the first that objects."""
        return _first(rule.against(device) for rule in self.rules)

    def is_above(self, acr: str) -> bool:
        """Whether one of them asks for more than this strength."""
        return any(rule.is_above(acr) for rule in self.rules)

    @property
    def ask_for_attestation(self) -> bool:
        """Whether a new key has to prove what it is."""
        return any(rule.attestation != Attestation.ANY for rule in self.rules)


def of(user_id: int) -> Rules:
    """The person's rules, by one statement."""
    row: Any = _with_rules(User.objects.filter(pk=user_id), "accounts_user.id").values_list("ruled", flat=True).first()
    return _parsed(row or "[]")


def of_owner(row: SignIn | Device) -> Rules:
    """The rules of the person whose ceremony or device it is: read with the row, else by one statement. Nobody's: none."""
    ruled: str | None = getattr(row, "ruled", None)
    if ruled is not None:
        return _parsed(ruled)
    return of(row.user_id) if row.user_id else Rules()


def devices(found: models.QuerySet[Device]) -> models.QuerySet[Device]:
    """The devices, each with the rules of its owner."""
    made: models.QuerySet[Device] = _with_rules(found, "devices_device.user_id")
    return made


def ceremonies() -> models.QuerySet[SignIn]:
    """Ceremonies, each with the rules of its person."""
    made: models.QuerySet[SignIn] = _with_rules(SignIn.objects.all(), "accounts_signin.user_id")
    return made


def in_use(user_id: int) -> models.QuerySet[Device]:
    """The person's devices that can answer in principle (`Device.of`), with the rules; `blocked` says which they let."""
    return devices(Device.of(user_id))


def blocked(row: Device) -> str:
    """The field of a policy by which its owner may not use the device; empty where that is allowed."""
    return of_owner(row).against(row)


def refusal(device: Device, by: str) -> Refused:
    """Why the device cannot be used, and which of the person's would do, else which kinds."""
    others = (row for row in in_use(device.user_id or 0) if row.pk != device.pk and not row.is_disabled and not blocked(row))
    would_do = [row.name for row in others if not kinds.module(row.kind).STANDS_IN]
    detail = "The policy that applies to this person does not accept this device. "
    detail += f"These would do: {', '.join(would_do)}." if would_do else "No other device of theirs would do."
    return Refused(Reason.BLOCKED_BY_POLICY, device=device.name or kinds.title(device), by=by, would_do=would_do, detail=detail)


def _first(found: Iterable[str]) -> str:
    return next(filter(None, found), "")


def _with_rules(found: Any, owner: str) -> Any:
    text = _JSON[connection.vendor] + _OF_A_PERSON.format(owner=owner) + ")"
    return found.annotate(ruled=RawSQL(text, (), output_field=models.TextField()))  # noqa: S611 (no value from outside)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Rules:
    return Rules(tuple(_rule(one) for one in sorted(json.loads(text), key=lambda one: one["group"] or "")))


def _rule(columns: dict[str, Any]) -> Rule:
    allowed = columns["kinds"]
    return Rule(
        **{
            **columns,
            "kinds": None if allowed is None else frozenset(allowed),
            "key_models": frozenset(columns["key_models"]),
            "sms": bool(columns["sms"]),
            "email": bool(columns["email"]),
        }
    )
