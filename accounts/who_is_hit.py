"""Who would be hit by a policy before it is made: counted by SQL, however many people there are.

The conditions are those of `accounts.rules`, on columns; a test holds them to each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Case, Q, QuerySet, When

from accounts.models import Attestation, GroupPolicy, User
from accounts.rules import Rule
from devices import kinds
from devices.models import DISABLE_AT, Attested, Device, Kind

NAMED = 50  # people of whom a preview gives the names

Policies = dict[int | None, Rule]  # by the group's key; None is everybody's


@dataclass(frozen=True)
class Hit:
    """How many devices in use, and of how many people, would not do any more; how many of these people would be left without
    one that does (`stranded`); and the first of them by name, each with `stranded`."""

    devices: int
    people: int
    stranded: int
    first: list[User]


def policies() -> Policies:
    """All there are."""
    return {row.group_id: Rule.of(row) for row in GroupPolicy.objects.select_related("group")}


def by_change(group: Group | None, wanted: Rule) -> Hit:
    """Who would be hit if this were the group's policy, or everybody's."""
    before = policies()
    key = group.pk if group else None
    return _hit(_members(key), wanted, before, {**before, key: wanted})


def by_joining(group: Group, joining: Iterable[User]) -> Hit:
    """Who of these people would be hit by coming into the group."""
    before = policies()
    rule, keys = before.get(group.pk, Rule()), [user.pk for user in joining]
    # For them alone the rule is one of everybody's.
    return _hit(Q(user_id__in=keys), rule, before, before, also=rule)


def left_with(user: User, group: Group | None, wanted: Rule) -> bool:
    """Whether the person would have a device to sign in with if this were the group's policy, or everybody's."""
    after = {**policies(), (group.pk if group else None): wanted}
    return _that_sign_in().filter(~blocked(after), user=user).exists()


def _hit(whose: Q, rule: Rule, before: Policies, after: Policies, also: Rule | None = None) -> Hit:
    hit = in_use().filter(whose, by_rule(rule)).filter(~blocked(before))
    still = blocked(after) | (by_rule(also) if also else Q(pk__in=[]))
    stranded = ~Q(pk__in=_that_sign_in().filter(~still).values("user_id"))
    people: Any = User.objects.filter(pk__in=hit.values("user_id"))
    marked = people.annotate(stranded=Case(When(stranded, then=True), default=False))
    first = marked.order_by("-stranded", "username_key")[:NAMED]
    return Hit(hit.count(), people.count(), people.filter(stranded).count(), list(first))


def in_use() -> QuerySet[Device]:
    """The devices of all active people that can answer in principle."""
    return Device.in_use().filter(user__is_active=True)


def _that_sign_in() -> QuerySet[Device]:
    """Those that do not only stand in for a device, and are not switched off."""
    stand_in = [kind for kind in Kind.values if kinds.module(kind).STANDS_IN]
    return in_use().filter(failures__lt=DISABLE_AT).exclude(kind__in=stand_in)


def blocked(every: Policies) -> Q:
    """The condition on a device that one of the policies does not let its owner use it."""
    found = Q(pk__in=[])
    for key, rule in every.items():
        found |= _members(key) & by_rule(rule)
    return found


def by_rule(rule: Rule) -> Q:
    """The condition on a device that this rule is against it."""
    off = [kind for kind in Kind.values if rule.against_kind(kind)]
    found = Q(kind__in=off)
    if rule.attestation != Attestation.ANY and Kind.FIDO2 not in off:
        enough = [Attested.CERTIFIED] if rule.attestation == Attestation.CERTIFIED else list(Attested.values)
        proven = Q(attested__in=enough)
        if rule.attestation == Attestation.LISTED:
            proven &= Q(aaguid__in=rule.key_models)
        found |= Q(kind=Kind.FIDO2) & ~proven
    return found


def _members(key: int | None) -> Q:
    if key is None:
        return Q(user__isnull=False)
    # Sets rather than a look at each device: a hundred times faster with many people.
    return Q(user_id__in=User.groups.through.objects.filter(group_id=key).values("user_id"))
