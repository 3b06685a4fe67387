"""Four eyes, by the setting FOUR_EYES: what one administrator does, another approves before it happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from audit.events import record
from desk.models import Approval
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

LIFE = timedelta(hours=24)  # to approve it, and then to do it
Field = Literal["import", "administrators", "policy"]
# The first part of `what`, up to its colon, in words.
ACTS = {
    "first-device": _("Give time for a first device"),
    "hand-out": _("Hand a token out"),
    "import": _("Import a token file"),
    "invitation": _("Invite to enrol a device"),
    "key": _("Enrol a security key"),
    "policy": _("Weaken a policy"),
    "roles": _("Change roles"),
    "temporary-code": _("Issue a temporary code"),
}


@contextmanager
def approved(
    field: Field,
    what: str,
    actor: User,
    client: Client,
    now: datetime,
    *,
    person: User | None = None,
    always: bool = False,
    **about: Any,
) -> Iterator[None]:
    """What is done inside was approved by another administrator, and the approval is used up by it; what fails leaves it.

    Where nobody approved it yet, somebody is asked, and it is Refused APPROVAL_NEEDED. Nothing is asked where the setting does
    not name the field, nor for `administrators` where the person is none, but `always`: where it makes one. `about` is shown to
    the other; no secret.
    """
    concerned = field != "administrators" or always or (person is not None and person.is_staff)
    if field not in settings.FOUR_EYES or not concerned:
        yield
        return
    mine = Approval.objects.filter(what=what, asked_by=actor.uuid, used_at=None, refused_at=None, expires_at__gt=now)
    row = mine.filter(approved_at__isnull=False).order_by("id").first()
    if row is None:
        if not mine.exists():
            ask(what, actor, client, now, person, about)
        raise Refused(Reason.APPROVAL_NEEDED)
    if not row.use(now):
        raise Refused(Reason.APPROVAL_NEEDED)
    try:
        yield
    except BaseException:
        # No transaction around both: a wrong code that is counted inside must stay counted.
        row.give_back(now)
        raise


def ask(what: str, actor: User, client: Client, now: datetime, person: User | None, about: dict[str, Any]) -> None:
    """Other administrators see that it waits for them; what was asked for and is over makes room."""
    whom: UUID | None = person.uuid if person else None
    try:
        with transaction.atomic():
            Approval.objects.filter(
                what=what, asked_by=actor.uuid, approved_at=None, refused_at=None, expires_at__lte=now
            ).delete()
            row = Approval(what=what, about=about, person=whom, asked_by=actor.uuid, asked_at=now, expires_at=now + LIFE)
            row.save(force_insert=True)
            record("approval_asked", client=client, person=whom, actor=actor.uuid, what=what)
    except IntegrityError:  # the same click twice
        return


def in_words(row: Approval) -> str:
    """What was asked for."""
    return str(ACTS[row.what.partition(":")[0]])


def waiting(now: datetime) -> QuerySet[Approval]:
    """What waits for somebody, oldest first."""
    return Approval.objects.filter(approved_at=None, refused_at=None, expires_at__gt=now).order_by("id")


def decide(row: Approval, actor: User, client: Client, now: datetime, *, approve: bool) -> None:
    """It is approved or refused. Refused NOT_PERMITTED for who asked and whom it is about; WRONG_STATE if it is over or
    decided."""
    if actor.uuid in (row.asked_by, row.person):
        raise Refused(Reason.NOT_PERMITTED)
    with transaction.atomic():
        if not row.decide(actor.uuid, now, approve=approve):
            raise Refused(Reason.WRONG_STATE)
        act = "approval_given" if approve else "approval_refused"
        record(act, client=client, person=row.person, actor=actor.uuid, what=row.what, asked_by=str(row.asked_by))
