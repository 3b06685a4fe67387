"""What may happen to a device, one statement each."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import connection, models
from django.db.models import Q
from django.db.models.functions import Greatest
from django_otp.models import Device as OtpDevice

from devices.lifecycle import State, states_before

if TYPE_CHECKING:
    from devices.kinds import Proof

PAUSE_AT = 5  # wrong answers in a row; typing errors rarely come five at a time
PAUSE_FIRST = timedelta(seconds=30)  # NIST SP 800-63B-4 3.2.2 suggests 30 s up to an hour
PAUSE_LONGEST = timedelta(minutes=15)  # capped, so that nobody can lock a person out for long
STOCK_FAILURES = 10  # no more are kept: the longest pause between guesses at two codes at once is enough
DISABLE_AT = 50  # NIST's ceiling is 100 in a row; after it only binding anew helps
HOLD = timedelta(seconds=2)  # how long an attempt may be judged; then the next may try, whatever became of it

GONE: dict[str, Any] = {
    "secret": "",
    "secret_hash": "",
    "credential_id": None,
    "public_key": None,
    "address": "",
}  # once retired

PENDING = Q(state=State.ASSIGNED, serial="")  # an enrolment begun and not confirmed
IN_USE = Q(state=State.ACTIVE) | (Q(state=State.ASSIGNED) & ~Q(serial=""))  # a hardware token handed out has a serial

# Django has no UPDATE … RETURNING: counts the attempt and gives the row back in one statement. The fifth attempt in a row
# holds the device until it is judged, so that a burst of parallel guesses is no larger than a series.
_CLAIM = (
    "UPDATE devices_device SET failures = failures + 1,"
    " held_until = CASE WHEN failures + 1 >= %s THEN %s ELSE held_until END"
    " WHERE uuid = %s AND failures < %s AND (paused_until IS NULL OR paused_until <= %s)"
    " AND (held_until IS NULL OR held_until <= %s)"
)
_VALID = " AND (valid_from IS NULL OR valid_from <= %s) AND (valid_until IS NULL OR valid_until > %s)"
CLAIM = _CLAIM + _VALID + " AND user_id = %s AND (state = 'active' OR state = 'assigned' AND serial <> '') RETURNING *"
CLAIM_PENDING = _CLAIM + _VALID + " AND user_id = %s AND state = 'assigned' AND serial = '' RETURNING *"
CLAIM_IN_STOCK = _CLAIM + _VALID + " AND user_id IS NULL AND state = 'in_stock' RETURNING *"


class Acts(OtpDevice):
    """The acts on the row of a `Device`, with the columns that they move. Each says by its return value whether this caller
    made it happen."""

    state = models.CharField(max_length=10, choices=State, default=State.ASSIGNED)
    serial = models.CharField(max_length=64, blank=True)  # of hardware from a seed file, in capitals; blank for all else
    counter = models.BigIntegerField(default=-1)
    failures = models.PositiveIntegerField(default=0)
    paused_until = models.DateTimeField(null=True)
    held_until = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta(OtpDevice.Meta):
        abstract = True

    @classmethod
    def claim(cls, user_id: int, public_id: UUID, now: datetime, *, pending: bool = False) -> "Self | None":
        """One attempt is counted and the row as it now is comes back, with `pending` of an enrolment not confirmed yet.

        None for what is not this person's, not in use, paused or disabled. Counted before judging, so that parallel
        guesses and faults cannot escape it.
        """
        return cls._claim(CLAIM_PENDING if pending else CLAIM, public_id, now, user_id)

    @classmethod
    def claim_in_stock(cls, public_id: UUID, now: datetime) -> "Self | None":
        """The same for a token that belongs to nobody yet."""
        return cls._claim(CLAIM_IN_STOCK, public_id, now)

    @classmethod
    def _claim(cls, statement: str, public_id: UUID, now: datetime, *owner: int) -> "Self | None":
        moment, until = (connection.ops.adapt_datetimefield_value(value) for value in (now, now + HOLD))
        parameters = [PAUSE_AT, until, uuid_parameter(public_id), DISABLE_AT, *[moment] * 4, *owner]
        rows = list(cls.objects.raw(statement, parameters))  # read to its end, or SQLite waits
        return rows[0] if rows else None

    def give_back(self) -> None:
        """The claim of an attempt that was no guess is taken back."""
        type(self).objects.filter(pk=self.pk).update(failures=Greatest(models.F("failures") - 1, 0), held_until=None)

    def pause_after_wrong(self, now: datetime) -> timedelta | None:
        """After a wrong answer: paused from the fifth in a row on, doubling; the pause, or None before that."""
        if self.failures < PAUSE_AT:
            return None
        pause: timedelta = min(PAUSE_FIRST * 2 ** min(self.failures - PAUSE_AT, 10), PAUSE_LONGEST)
        still = Q(failures__gte=PAUSE_AT)  # a right answer at the same moment has cleared them
        type(self).objects.filter(still, pk=self.pk).update(paused_until=now + pause, held_until=None)
        return pause

    def pause_in_stock(self, now: datetime) -> None:
        """The same for a token that is nobody's: guesses at its serial make it rest, and never switch it off."""
        self.pause_after_wrong(now)
        if self.failures > STOCK_FAILURES:
            type(self).objects.filter(pk=self.pk, user=None).update(failures=STOCK_FAILURES)

    def spend(self, proof: "Proof", now: datetime) -> bool:
        """The proof's moving factor is used up and the failures forgotten; False if it was used already.

        A hardware token that was handed out becomes active by its first right answer.
        """
        return self._won(IN_USE, proof, now, {"confirmed_at": now} if self.state == State.ASSIGNED else {})

    def activate(self, proof: "Proof", name: str, now: datetime) -> bool:
        """The enrolment ends: active, with what the proof brought, its code used up; False if that happened already."""
        return self._won(Q(state=State.ASSIGNED), proof, now, {"name": name, "confirmed_at": now, **proof.columns})

    def take_from_stock(self, user_id: int, proof: "Proof", name: str, now: datetime) -> bool:
        """The token is the person's and active, its code used up; False if somebody else has it by now."""
        return self._won(Q(state=State.IN_STOCK), proof, now, {"name": name, "confirmed_at": now, "user_id": user_id})

    def spend_use(self, now: datetime) -> bool:
        """One of its uses is gone and the failures are forgotten; False if none was left."""
        return self._won(IN_USE & Q(uses_left__gt=0, valid_until__gt=now), None, now, {"uses_left": models.F("uses_left") - 1})

    def _won(self, guard: Q, proof: "Proof | None", now: datetime, columns: dict[str, Any]) -> bool:
        if proof is not None:
            if proof.counter is not None:
                guard &= Q(counter__lt=proof.counter)
            told = {"counter": proof.counter, "drift": proof.drift, "backup_state": proof.backup_state}
            columns = {name: value for name, value in told.items() if value is not None} | columns
        changed: int = (
            type(self)
            .objects.filter(guard, pk=self.pk, user_id=self.user_id)
            .update(state=State.ACTIVE, failures=0, paused_until=None, held_until=None, last_used_at=now, **columns)
        )
        return changed == 1

    def move(self, new: State, **columns: Any) -> bool:
        """The device is in the new state if the move is legal from the one it is in now, in one statement."""
        changed: int = (
            type(self)
            .objects.filter(pk=self.pk, user_id=self.user_id, state__in=states_before(new))
            .update(state=new, **columns)
        )
        if changed:
            self.state = new
        return changed == 1

    def retire(self) -> bool:
        """Removed for good: nothing of it can answer any more, the row stays for the history."""
        return self.move(State.RETIRED, **GONE)

    def hand_out(self, user_id: int, name: str, by: UUID, now: datetime) -> bool:
        """A token in stock is the person's, to be tried, given out by the administrator `by`; False if somebody else has it by
        now."""
        free = type(self).objects.filter(pk=self.pk, state=State.IN_STOCK, user_id=None)
        columns: dict[str, Any] = {"failures": 0, "paused_until": None, "handed_out_by": by, "handed_out_at": now}
        won: bool = free.update(state=State.ASSIGNED, user_id=user_id, name=name, **columns) == 1
        if won:
            self.state, self.user_id, self.name = State.ASSIGNED, user_id, name
        return won

    def hand_back(self) -> bool:
        """A token with a serial is in stock again and nobody's; its moving factor and its drift stay."""
        clean = {"user": None, "name": "", "failures": 0, "paused_until": None, "held_until": None, "confirmed_at": None}
        clean |= {"handed_out_by": None, "handed_out_at": None, "enrolled_by": None, "suspended_until": None}
        return bool(self.serial) and self.move(State.IN_STOCK, **clean)


def uuid_parameter(value: UUID) -> Any:
    """A uuid as `.raw()` wants it: SQLite keeps the hex digits."""
    return value if connection.features.has_native_uuid_field else value.hex
