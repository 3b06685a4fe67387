"""A person's recovery codes: make a set in place of any other, and how many of it are left."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, Q

from accounts import policy, rules
from accounts.enrolment import clean_name, refuse_kind
from accounts.models import User
from audit.events import record
from devices.kinds import recovery
from devices.lifecycle import State
from devices.models import Device, Kind
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

FEW = 3  # codes left from which on a new set is suggested


@dataclass(frozen=True)
class Codes:
    """A set, and how many of its codes are left."""

    device: Device
    left: int

    @property
    def are_few(self) -> bool:
        """Whether it is time for a new set."""
        return self.left <= FEW


def current(user: User) -> Codes | None:
    """The person's set; None where there is none or it was reported lost."""
    sets = Device.objects.filter(user=user, kind=Kind.RECOVERY, state=State.ACTIVE)
    row = sets.annotate(left=Count("codes", filter=Q(codes__spent_at=None))).first()
    return Codes(row, row.left) if row else None


def new_set(user: User, sid: UUID, name: str, client: Client, now: datetime) -> tuple[Device, list[str]]:
    """A set in place of any other, and its codes in clear, this once.

    What the old set opened ends, but for the session or family that asks. Of two at the same moment one is Refused
    WRONG_STATE: nobody has two sets. KIND_BLOCKED_BY_POLICY where the person may not have one.
    """
    refuse_kind(Kind.RECOVERY, rules.of(user.pk))
    row = Device(user=user, kind=Kind.RECOVERY, state=State.ACTIVE, created_at=now, confirmed_at=now)
    row.name = clean_name(name) or str(recovery.TITLE)
    codes = recovery.new_codes()
    try:
        with transaction.atomic():
            old = Device.objects.select_for_update().filter(user=user, kind=Kind.RECOVERY).exclude(state=State.RETIRED).first()
            if old is not None:
                old.retire()
            recovery.store(row, codes)
            if old is not None:
                policy.hand_over(sid, old, row)
                policy.end_what_it_opened(old, "recovery_codes_replaced", now)
            replaced = old is not None
            record("recovery_codes_made", client=client, person=user.uuid, device=row.uuid, sid=sid, replaced=replaced)
    except IntegrityError:
        raise Refused(Reason.WRONG_STATE) from None
    return row, codes
