"""A policy in words: its fields, what they say, and the strictest of several."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Attestation
from accounts.rules import FIELDS, SWITCHES, Rule
from devices import aaguids, kinds
from devices.models import Kind
from mfa_site.proof import ACR

STRENGTHS = {  # those that some device can reach
    "aal1": _("Anything that signs in, codes by e-mail too"),
    "aal2": _("A second factor (aal2)"),
    "phr": _("A factor that cannot be phished: a security key or passkey (phr)"),
}
TITLES = {
    "weakest_acr": _("Weakest acceptable sign-in"),
    "kinds": _("Allowed kinds"),
    "attestation": _("Security keys"),
    "sms": _("Codes by text message"),
    "email": _("Codes by e-mail"),
}
EVERYBODY = _("Everybody")


@dataclass(frozen=True)
class Line:
    """One field of what applies: what it is called, what it says, and whose policies say so."""

    title: str
    value: str
    groups: list[str]


def choices_of_kinds() -> list[tuple[str, str]]:
    """The kinds that a policy allows one by one, strongest first; the others have a field of their own."""
    found = [(str(kind), kinds.module(kind)) for kind in Kind if kind not in SWITCHES]
    return [(name, str(kind.TITLE)) for name, kind in sorted(found, key=lambda pair: -pair[1].STRENGTH)]


def value(rule: Rule, field: str) -> str:
    """What the field of this rule says."""
    if field == "weakest_acr":
        return str(STRENGTHS.get(rule.weakest_acr, rule.weakest_acr))
    if field == "kinds":
        return gettext("All") if rule.kinds is None else _names(rule.kinds)
    if field == "attestation":
        said = str(Attestation(rule.attestation).label)
        return f"{said}: {_models(rule)}" if rule.attestation == Attestation.LISTED else said
    return gettext("Allowed") if getattr(rule, field) else gettext("Not allowed")


def lines(rule: Rule) -> list[Line]:
    """The whole rule."""
    return [Line(str(title), value(rule, field), []) for field, title in TITLES.items()]


def differences(before: Rule, after: Rule) -> list[tuple[str, str, str]]:
    """The fields that change: their names, what they said and what they say then."""
    found = [(str(title), value(before, field), value(after, field)) for field, title in TITLES.items()]
    return [one for one in found if one[1] != one[2]]


def strictest(rules: Iterable[Rule]) -> list[Line]:
    """What applies where all of these do, field by field, and from which groups it comes."""
    rules = list(rules)
    return [_strictest(field, str(title), rules) for field, title in TITLES.items()]


def _strictest(field: str, title: str, rules: list[Rule]) -> Line:
    asking = [rule for rule in rules if getattr(rule, field) != getattr(Rule(), field)]
    if not asking:
        return Line(title, value(Rule(), field), [])
    if field == "weakest_acr":
        highest = max(asking, key=lambda rule: ACR.index(rule.weakest_acr)).weakest_acr
        asking = [rule for rule in asking if rule.weakest_acr == highest]
    if field == "kinds":
        allowed = frozenset.intersection(*(rule.kinds for rule in asking if rule.kinds is not None))
        return Line(title, _names(allowed), [group(rule) for rule in asking])
    # Of attestation each rule's demand stays: one model may have to be listed and certified.
    said = "; ".join(dict.fromkeys(value(rule, field) for rule in asking))
    return Line(title, said, [group(rule) for rule in asking])


def group(rule: Rule) -> str:
    """Whose policy it is."""
    return str(EVERYBODY) if rule.group is None else rule.group


def why(rule: Rule, field: str) -> str:
    """By what the rule is against a device, with the group."""
    titles: dict[str, Any] = TITLES
    return f"{titles[field]}: {value(rule, field)} ({group(rule)})"


def _names(allowed: frozenset[str]) -> str:
    return ", ".join(name for kind, name in choices_of_kinds() if kind in allowed) or gettext("None")


def _models(rule: Rule) -> str:
    return ", ".join(sorted(aaguids.names_of(rule.key_models))) or gettext("none chosen")


assert set(TITLES) | {"key_models"} == set(FIELDS)
