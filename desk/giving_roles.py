"""Who has which role; giving and taking them."""

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils.translation import gettext

from accounts import policy
from accounts.models import User
from audit.events import record
from desk.roles import PERMISSIONS, ROLES
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused


def choices() -> list[tuple[str, str]]:
    """The roles, by the name of their group and in words."""
    return [(name, gettext(name)) for name in ROLES]


def explained() -> list[tuple[str, list[str]]]:
    """Each role with what it may do, in words."""
    return [(gettext(name), [gettext(PERMISSIONS[one]) for one in held]) for name, held in ROLES.items()]


def of(person: User) -> list[str]:
    """The roles that this person has."""
    return [name for name in person.groups.values_list("name", flat=True) if name in ROLES]


def give(person: User, wanted: Iterable[str], client: Client, now: datetime, *, actor: User) -> None:
    """The person has these roles and no other, and is staff while there is one; what was open has ended, so that an
    administrator's shorter times hold at once. Refused NOT_PERMITTED for oneself and, but for superusers, for a superuser."""
    wanted = sorted(set(wanted))
    if person.pk == actor.pk or person.is_superuser or set(wanted) - ROLES.keys():
        raise Refused(Reason.NOT_PERMITTED)
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).get(pk=person.pk)
        before = sorted(of(locked))
        if before == wanted:
            return
        locked.groups.remove(*Group.objects.filter(name__in=ROLES))
        locked.groups.add(*Group.objects.filter(name__in=wanted))
        User.objects.filter(pk=locked.pk).update(is_staff=bool(wanted))
        policy.end_everything(locked, "roles_changed", now)
        record("roles_changed", client=client, person=locked.uuid, actor=actor.uuid, before=before, after=wanted)
