"""Temporary codes: issued by an administrator to a person who has no device at hand."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts import policy, rules
from accounts.enrolment import refuse_kind
from accounts.models import User
from audit.events import record
from devices.kinds import temporary
from devices.lifecycle import State
from devices.models import Device, Kind
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.site import this_site

LIFE = timedelta(hours=24)
LONGEST = timedelta(days=7)  # a holiday without the token; NIST SP 800-63B-4 4.2.1.2 allows 21 days by post
SHORTEST = timedelta(minutes=5)
MOST_USES = 20
REASON_LENGTH = 200
ISSUED = "temporary_code_issued"


def issue(
    person: User, why: str, client: Client, now: datetime, *, actor: UUID, uses: int = 1, life: timedelta = LIFE
) -> tuple[Device, str]:
    """A code in place of any other, and it in clear, this once; what the old one opened is ended. The person gets a notice.

    `actor`: who issues it. Refused MALFORMED without a reason or out of bounds; WRONG_STATE for a person
    who is disabled, or where another was issued at the same moment; KIND_BLOCKED_BY_POLICY.
    """
    why = why.strip()
    if not why or len(why) > REASON_LENGTH or not why.isprintable():
        raise Refused(Reason.MALFORMED, detail=f"reason is a text of 1 to {REASON_LENGTH} characters.")
    if not (1 <= uses <= MOST_USES and SHORTEST <= life <= LONGEST):
        raise Refused(Reason.MALFORMED, detail=f"A code has 1 to {MOST_USES} uses and lives 5 minutes to 7 days.")
    if not person.is_active:
        raise Refused(Reason.WRONG_STATE)
    refuse_kind(Kind.TEMPORARY, rules.of(person.pk))
    code, columns = temporary.new_code(), {"uses_left": uses, "valid_until": now + life, "created_at": now, "confirmed_at": now}
    row = Device(user=person, kind=Kind.TEMPORARY, name=str(temporary.TITLE), state=State.ACTIVE, **columns)
    temporary.fill(row, {"code": code}, this_site())
    try:
        with transaction.atomic():
            withdraw(person, now)
            row.save(force_insert=True)
            until, who = (now + life).isoformat(timespec="seconds"), person.uuid
            record(ISSUED, client=client, person=who, actor=actor, device=row.uuid, why=why, uses=uses, until=until)
    except IntegrityError:
        raise Refused(Reason.WRONG_STATE) from None
    return row, code


def withdraw(person: User, now: datetime) -> None:
    """The person's temporary code, if there is one, is retired, and what it opened has ended."""
    old = Device.objects.select_for_update().filter(user=person, kind=Kind.TEMPORARY).exclude(state=State.RETIRED).first()
    if old is not None and old.retire():
        policy.end_what_it_opened(old, "temporary_code_replaced", now)
