"""Who is let through to an act of an administrator, over the API and the pages alike."""

from django.http import HttpRequest

from accounts.api.own import person
from accounts.models import User
from accounts.policy import WEAK
from mfa_site.api import SAFE
from mfa_site.errors import Reason, Refused
from mfa_site.proof import STEP_UP, check


def administrator(request: HttpRequest, permission: str) -> User:
    """The member of staff who may do that (`desk.roles`); what changes something needs a fresh proof. Refused NOT_SIGNED_IN,
    NOT_PERMITTED, STEP_UP_NEEDED."""
    proof, user = check(request), person(request)
    if not may(user, permission):
        raise Refused(Reason.NOT_PERMITTED)
    if request.method not in SAFE:
        check(request, **STEP_UP)
    elif proof.acr == WEAK:
        check(request, acr=STEP_UP["acr"])
    return user


def may(user: User, permission: str) -> bool:
    """Whether this member of staff has the permission of `desk.roles`."""
    return user.is_staff and user.has_perm(f"desk.{permission}")


def is_higher(user: User, holder: User) -> bool:
    """Whether this administrator must not act on that person: administrators are for those with the permission to touch them,
    superusers for superusers alone, and nobody acts on himself but a superuser."""
    if user.is_superuser:
        return False
    return holder.is_superuser or holder == user or (holder.is_staff and not may(user, "touch_administrators"))


def refuse_oneself(user: User, holder: User) -> None:
    """Refused NOT_PERMITTED where they are the same: nobody issues himself a way in, a superuser neither."""
    if holder == user:
        raise Refused(Reason.NOT_PERMITTED)


def refuse_higher(user: User, holder: User | None) -> None:
    """Refused NOT_PERMITTED where the person is higher (`is_higher`); whoever gives an administrator a device, or takes one,
    could otherwise become him. Nobody's token is nobody's."""
    if holder is not None and is_higher(user, holder):
        raise Refused(Reason.NOT_PERMITTED)
