"""Policies are changed, and people come into groups and leave them. Who would be hit is in `accounts.who_is_hit`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts import who_is_hit
from accounts.models import Attestation, GroupPolicy, User
from accounts.models.user import NAME_LENGTH, normalised
from accounts.rules import FIELDS, Rule
from audit.events import record
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import ACR

MOST_AT_ONCE = 1000  # people who come into a group in one act
GROUP_NAME = 150


def current(group: Group | None) -> tuple[Rule, int]:
    """The policy of the group, or everybody's, and its version; asking nothing and 0 where there is none yet."""
    row = GroupPolicy.objects.select_related("group").filter(group=group).first()
    return (Rule.of(row), row.version) if row else (Rule(group.name if group else None), 0)


def change_policy(
    group: Group | None, wanted: Rule, version: int, client: Client, now: datetime, *, actor: UUID, of: User | None = None
) -> None:
    """This is the policy of the group, or everybody's. `version`: of the one that it takes the place of.

    Refused WRONG_STATE if somebody else changed it meanwhile; STRANDED where `of`, the administrator, would have no device left
    to sign in with. The one way by which a policy changes; `is_weaker` says whether it then asks for less.
    """
    if of is not None and not who_is_hit.left_with(of, group, wanted):
        raise Refused(Reason.STRANDED)
    before, _version = current(group)
    try:
        with transaction.atomic():
            if not _write(group, columns(wanted), version, now):
                raise Refused(Reason.WRONG_STATE)
            told: dict[str, Any] = {"before": columns(before), "after": columns(wanted), "weaker": is_weaker(before, wanted)}
            record("policy_changed", client=client, actor=actor, group=group.name if group else None, **told)
    except IntegrityError:
        raise Refused(Reason.WRONG_STATE) from None


def _write(group: Group | None, wanted: dict[str, Any], version: int, now: datetime) -> bool:
    if version == 0:
        GroupPolicy.objects.create(group=group, changed_at=now, **wanted)
        return True
    found = GroupPolicy.objects.filter(group=group, version=version)
    return found.update(version=version + 1, changed_at=now, **wanted) == 1


def columns(rule: Rule) -> dict[str, Any]:
    """The rule as the row and the audit have it."""
    values = {name: getattr(rule, name) for name in FIELDS}
    values["kinds"] = None if rule.kinds is None else sorted(rule.kinds)
    values["key_models"] = sorted(rule.key_models) if rule.attestation == Attestation.LISTED else []
    return values


def is_weaker(before: Rule, after: Rule) -> bool:
    """Whether the second lets something pass that the first did not."""
    if ACR.index(after.weakest_acr) < ACR.index(before.weakest_acr):
        return True
    if before.kinds is not None and (after.kinds is None or after.kinds - before.kinds):
        return True
    if (after.sms and not before.sms) or (after.email and not before.email):
        return True
    if before.attestation == Attestation.ANY:
        return False
    # Of listed and certified none is stricter than the other: what was not listed may be certified.
    return after.attestation != before.attestation or bool(after.key_models - before.key_models)


def groups() -> QuerySet[Group]:
    """The groups that hold people for their policy alone; roles, which hold permissions, are given elsewhere."""
    return Group.objects.filter(permissions=None).order_by("name")


def create_group(name: str, client: Client, *, actor: UUID) -> Group:
    """A group without people and policy; Refused MALFORMED for a name that is none or taken."""
    name = name.strip()
    if not name or len(name) > GROUP_NAME or not name.isprintable():
        raise Refused(Reason.MALFORMED)
    try:
        with transaction.atomic():
            group: Group = Group.objects.create(name=name)
            record("group_created", client=client, actor=actor, group=name)
    except IntegrityError:
        raise Refused(Reason.MALFORMED) from None
    return group


def named(text: str) -> tuple[list[User], list[str]]:
    """The people whose names are in the text, one a line or with commas between, and the names that nobody has.

    Refused MALFORMED for none and for more than MOST_AT_ONCE.
    """
    given = [one.strip() for line in text.splitlines() for one in line.split(",") if one.strip()]
    if not given or len(given) > MOST_AT_ONCE:
        raise Refused(Reason.MALFORMED)
    keys = {normalised(one): one for one in given if len(one) <= NAME_LENGTH}
    found = list(User.objects.filter(username_key__in=keys).order_by("username_key"))
    known = {user.username_key for user in found}
    unknown = [one for key, one in keys.items() if key not in known]
    return found, unknown + [one[:NAME_LENGTH] for one in given if len(one) > NAME_LENGTH]


def join(group: Group, people: Iterable[User], client: Client, *, actor: UUID) -> int:
    """They are in the group; how many came into it. Refused NOT_PERMITTED for a group that holds permissions."""
    return _move(group, people, "group_joined", client, actor)


def leave(group: Group, people: Iterable[User], client: Client, *, actor: UUID) -> int:
    """They are not in the group any more; how many left it, each with an event, for what applies to them may be weaker then."""
    return _move(group, people, "group_left", client, actor)


def _move(group: Group, people: Iterable[User], act: str, client: Client, actor: UUID) -> int:
    moving = {user.pk: user for user in people}
    with transaction.atomic():
        # Locked, so that two at once do not both tell of it; and whoever gives the group a permission waits.
        group = Group.objects.select_for_update(no_key=True).get(pk=group.pk)
        if group.permissions.exists():
            raise Refused(Reason.NOT_PERMITTED)
        inside = set(group.user_set.filter(pk__in=moving).values_list("pk", flat=True))
        if act == "group_joined":
            changed = [user for pk, user in moving.items() if pk not in inside]
            group.user_set.add(*changed)
        else:
            changed = [user for pk, user in moving.items() if pk in inside]
            group.user_set.remove(*changed)
        for user in changed:
            record(act, client=client, person=user.uuid, actor=actor, group=group.name)
    return len(changed)
