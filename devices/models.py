"""The one table of devices: what a person proves possession of."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Case, Exists, OuterRef, Q, When
from django.db.models.functions import Greatest
from django.utils import timezone
from django_otp.models import Device as OtpDevice

from devices.lifecycle import State, states_before
from mfa_site import keyring
from mfa_site.fields import MacField, SealedField

if TYPE_CHECKING:
    from devices.kinds import Proof

PAUSE_AT = 5  # wrong answers in a row; typing errors rarely come five at a time
PAUSE_FIRST = timedelta(seconds=30)  # NIST SP 800-63B-4 3.2.2 suggests 30 s up to an hour
PAUSE_LONGEST = timedelta(minutes=15)  # capped, so that nobody can lock a person out for long
DISABLE_AT = 50  # NIST's ceiling is 100 in a row; after it only binding anew helps
HOLD = timedelta(seconds=2)  # how long an attempt may be judged; then the next may try, whatever became of it
UNCONFIRMED_LIFE = timedelta(minutes=10)  # an enrolment begun and not confirmed

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


class Kind(models.TextChoices):
    """The closed set of kinds; `devices.kinds` has a module for each."""

    TOTP = "totp", "TOTP"
    HOTP = "hotp", "HOTP"
    SMS = "sms", "SMS"
    EMAIL = "email", "E-mail"
    FIDO2 = "fido2", "FIDO2"
    YUBIOTP = "yubiotp", "Yubico OTP"
    RECOVERY = "recovery", "Recovery codes"
    TEMPORARY = "temporary", "Temporary code"


OATH = (Kind.TOTP, Kind.HOTP)  # codes that follow from a seed and a moving factor of the device's own
SENT = (Kind.SMS, Kind.EMAIL)  # codes that we send


class Device(OtpDevice):
    """One authenticator, bound to one person or in stock. `counter` is the highest moving factor accepted so far,
    and the next must be higher: the time step of a TOTP, the event counter of an HOTP, the number of a code that was sent,
    the signature counter of a security key, usage and session counter of a Yubico OTP."""

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    # Nullable, unlike django-otp's: a token in stock belongs to nobody.
    user = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="devices"
    )
    kind = models.CharField(max_length=12, choices=Kind)
    serial = models.CharField(max_length=64, blank=True)  # of hardware from a seed file, in capitals; blank for all else
    model = models.CharField(max_length=100, blank=True)
    batch = models.UUIDField(null=True, db_index=True)  # the seed file with which it came
    state = models.CharField(max_length=10, choices=State, default=State.ASSIGNED)
    confirmed = models.GeneratedField(
        expression=Case(When(state=State.ACTIVE, then=True), default=False), output_field=models.BooleanField(), db_persist=True
    )

    # Codes: the seed is sealed for this row's column. The hash is of what is never read back (a temporary code), or finds an
    # imported seed that is here already.
    secret = SealedField(blank=True)
    secret_hash = MacField(max_length=64, blank=True)
    digits = models.PositiveSmallIntegerField(default=6)
    period = models.PositiveSmallIntegerField(default=30)
    algorithm = models.CharField(max_length=6, default="sha1")
    drift = models.SmallIntegerField(default=0)
    public_id = models.CharField(max_length=32, blank=True)  # of a YubiKey, in modhex: the first part of its codes

    # Codes that we send: where to, the number of the last one, when it went out, and which certainly did not.
    address = models.CharField(max_length=254, blank=True)
    sent = models.BigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    unsent = models.BigIntegerField(null=True)

    # Where its use ends: dates of a seed file's key policy or of a temporary code, and how often the latter opens.
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    uses_left = models.PositiveSmallIntegerField(null=True)

    # Security keys.
    credential_id = models.BinaryField(max_length=1023, null=True, unique=True)
    public_key = models.BinaryField(null=True)
    aaguid = models.UUIDField(null=True)
    transports = models.JSONField(default=list)
    rp_id = models.CharField(max_length=253, blank=True)
    backup_eligible = models.BooleanField(default=False)
    backup_state = models.BooleanField(default=False)
    attestation = models.CharField(max_length=32, blank=True)

    counter = models.BigIntegerField(default=-1)
    failures = models.PositiveIntegerField(default=0)
    paused_until = models.DateTimeField(null=True)
    held_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["user", "state"])]
        constraints = [
            # Whoever makes a second one at the same moment hits these. What was removed may come again.
            models.UniqueConstraint(
                name="device_one_recovery_set", fields=["user"], condition=Q(kind=Kind.RECOVERY) & ~Q(state=State.RETIRED)
            ),
            models.UniqueConstraint(
                name="device_one_temporary_code", fields=["user"], condition=Q(kind=Kind.TEMPORARY) & ~Q(state=State.RETIRED)
            ),
            *(
                models.UniqueConstraint(
                    name=f"device_one_{name}", fields=[name], condition=~Q(**{name: ""}) & ~Q(state=State.RETIRED)
                )
                for name in ("serial", "secret_hash", "public_id")
            ),
            models.CheckConstraint(name="device_kind", condition=Q(kind__in=Kind.values)),
            models.CheckConstraint(name="device_state", condition=Q(state__in=State.values)),
            models.CheckConstraint(
                name="device_totp",
                condition=~Q(kind=Kind.TOTP)
                | Q(
                    ~Q(secret="") | Q(state=State.RETIRED),
                    digits__range=(6, 8),
                    period__in=(30, 60),
                    algorithm__in=("sha1", "sha256", "sha512"),
                ),
            ),
            models.CheckConstraint(
                name="device_hotp",
                condition=~Q(kind=Kind.HOTP)
                | Q(
                    ~Q(secret="") | Q(state=State.RETIRED),
                    digits__range=(6, 8),
                    algorithm__in=("sha1", "sha256", "sha512"),
                ),
            ),
            models.CheckConstraint(
                name="device_sent",
                condition=~Q(kind__in=SENT) | Q(~Q(secret=""), ~Q(address=""), digits__range=(6, 8)) | Q(state=State.RETIRED),
            ),
            models.CheckConstraint(
                name="device_yubiotp",
                condition=~Q(kind=Kind.YUBIOTP) | ~Q(public_id="") | Q(state__in=(State.ASSIGNED, State.RETIRED)),
            ),
            models.CheckConstraint(
                name="device_temporary",
                condition=~Q(kind=Kind.TEMPORARY)
                | Q(~Q(secret_hash=""), valid_until__isnull=False, uses_left__isnull=False)
                | Q(state=State.RETIRED),
            ),
            models.CheckConstraint(
                name="device_fido2",
                condition=~Q(kind=Kind.FIDO2)
                | Q(state__in=(State.ASSIGNED, State.RETIRED))
                | Q(credential_id__isnull=False, public_key__isnull=False, counter__gte=0),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    # ---- what is known of the row ------------------------------------------------------------------------------

    @property
    def seed(self) -> bytes:
        """The seed in clear; keyring.CannotOpen if it is not this row's."""
        return keyring.unseal(self.secret, "devices_device", "secret", self.uuid)

    @seed.setter
    def seed(self, value: bytes) -> None:
        self.secret = keyring.seal(value, "devices_device", "secret", self.uuid)

    @property
    def is_pending(self) -> bool:
        """An enrolment begun and not confirmed; a hardware token handed out has a serial."""
        return self.state == State.ASSIGNED and not self.serial

    @property
    def is_disabled(self) -> bool:
        """Too many wrong answers in a row; only binding it anew helps."""
        return self.failures >= DISABLE_AT

    def is_paused(self, now: datetime) -> bool:
        """Whether it must rest after wrong answers."""
        return self.paused_until is not None and self.paused_until > now

    def may_be_claimed(self, now: datetime, *, pending: bool) -> bool:
        """Whether a claim may succeed as soon as no other attempt holds the device."""
        return (self.is_pending and self._may_answer(now)) if pending else self.is_usable(now)

    def is_usable(self, now: datetime) -> bool:
        """Whether it may answer now."""
        return (self.state == State.ACTIVE or (self.state == State.ASSIGNED and bool(self.serial))) and self._may_answer(now)

    def _may_answer(self, now: datetime) -> bool:
        if self.is_disabled or self.is_paused(now) or self.kind in settings.KINDS_OFF or self.uses_left == 0:
            return False
        return (self.valid_from is None or self.valid_from <= now) and not self.is_over(now)

    def is_over(self, now: datetime) -> bool:
        """Whether its end has come: of a temporary code, or in the key policy of a seed file."""
        return self.valid_until is not None and self.valid_until <= now

    @classmethod
    def of(cls, user_id: int) -> models.QuerySet["Device"]:
        """The person's devices that can answer in principle: active, or handed out and not tried yet; not of a kind that is
        off, nor at their end; codes if any is left."""
        left = Exists(RecoveryCode.objects.filter(device=OuterRef("pk"), spent_at=None))
        ended = Q(uses_left=0) | Q(valid_until__lte=timezone.now())
        found = cls.objects.filter(IN_USE, ~Q(kind=Kind.RECOVERY) | left, user_id=user_id).exclude(ended)
        return (found.exclude(kind__in=settings.KINDS_OFF) if settings.KINDS_OFF else found).order_by("created_at", "id")

    @classmethod
    def ever_of(cls, user_id: int) -> models.QuerySet["Device"]:
        """Every device that the person ever had, whatever became of it; enrolments not confirmed are none."""
        return cls.objects.filter(user_id=user_id).exclude(PENDING)

    # ---- what may happen to it, one statement each ---------------------------------------------------------------

    @classmethod
    def claim(cls, user_id: int, public_id: UUID, now: datetime, *, pending: bool = False) -> "Device | None":
        """One attempt is counted and the row as it now is comes back, with `pending` of an enrolment not confirmed yet.

        None for what is not this person's, not in use, paused or disabled. Counted before judging, so that parallel
        guesses and faults cannot escape it.
        """
        return cls._claim(CLAIM_PENDING if pending else CLAIM, public_id, now, user_id)

    @classmethod
    def claim_in_stock(cls, public_id: UUID, now: datetime) -> "Device | None":
        """The same for a token that belongs to nobody yet."""
        return cls._claim(CLAIM_IN_STOCK, public_id, now)

    @classmethod
    def _claim(cls, statement: str, public_id: UUID, now: datetime, *owner: int) -> "Device | None":
        moment, until = (connection.ops.adapt_datetimefield_value(value) for value in (now, now + HOLD))
        parameters = [PAUSE_AT, until, uuid_parameter(public_id), DISABLE_AT, *[moment] * 4, *owner]
        rows = list(cls.objects.raw(statement, parameters))  # read to its end, or SQLite waits
        return rows[0] if rows else None

    def give_back(self) -> None:
        """The claim of an attempt that was no guess is taken back."""
        Device.objects.filter(pk=self.pk).update(failures=Greatest(models.F("failures") - 1, 0), held_until=None)

    def pause_after_wrong(self, now: datetime) -> timedelta | None:
        """After a wrong answer: paused from the fifth in a row on, doubling; the pause, or None before that."""
        if self.failures < PAUSE_AT:
            return None
        pause: timedelta = min(PAUSE_FIRST * 2 ** min(self.failures - PAUSE_AT, 10), PAUSE_LONGEST)
        still = Q(failures__gte=PAUSE_AT)  # a right answer at the same moment has cleared them
        Device.objects.filter(still, pk=self.pk).update(paused_until=now + pause, held_until=None)
        return pause

    def spend(self, proof: "Proof", now: datetime) -> bool:
        """The proof's moving factor is used up and the failures forgotten; False if it was used already.

        A hardware token that was handed out becomes active by its first right answer.
        """
        columns: dict[str, Any] = {} if proof.drift is None else {"drift": proof.drift}
        if proof.backup_state is not None:
            columns["backup_state"] = proof.backup_state
        if self.state == State.ASSIGNED:
            columns["confirmed_at"] = now
        return self._won(IN_USE, proof, now, columns)

    def activate(self, proof: "Proof", name: str, now: datetime) -> bool:
        """The enrolment ends: active, with what the proof brought, its code used up; False if that happened already."""
        return self._won(Q(state=State.ASSIGNED), proof, now, {"name": name, "confirmed_at": now, **proof.columns})

    def take_from_stock(self, user_id: int, proof: "Proof", name: str, now: datetime) -> bool:
        """The token is the person's and active, its code used up; False if somebody else has it by now."""
        columns: dict[str, Any] = {} if proof.drift is None else {"drift": proof.drift}
        columns |= {"name": name, "confirmed_at": now, "user_id": user_id}
        return self._won(Q(state=State.IN_STOCK), proof, now, columns)

    def spend_use(self, now: datetime) -> bool:
        """One of its uses is gone and the failures are forgotten; False if none was left."""
        return self._won(IN_USE & Q(uses_left__gt=0, valid_until__gt=now), None, now, {"uses_left": models.F("uses_left") - 1})

    def _won(self, guard: Q, proof: "Proof | None", now: datetime, columns: dict[str, Any]) -> bool:
        if proof is not None and proof.counter is not None:
            guard &= Q(counter__lt=proof.counter)
            columns["counter"] = proof.counter
        changed: int = Device.objects.filter(guard, pk=self.pk, user_id=self.user_id).update(
            state=State.ACTIVE, failures=0, paused_until=None, held_until=None, last_used_at=now, **columns
        )
        return changed == 1

    def move(self, new: State, **columns: Any) -> bool:
        """The device is in the new state if the move is legal from the one it is in now, in one statement."""
        changed: int = Device.objects.filter(pk=self.pk, user_id=self.user_id, state__in=states_before(new)).update(
            state=new, **columns
        )
        if changed:
            self.state = new
        return changed == 1

    def retire(self) -> bool:
        """Removed for good: nothing of it can answer any more, the row stays for the history."""
        gone = {"secret": "", "secret_hash": "", "credential_id": None, "public_key": None, "address": ""}
        return self.move(State.RETIRED, **gone)

    def hand_out(self, user_id: int) -> bool:
        """A token in stock is the person's, to be tried; False if somebody else has it by now."""
        free = Device.objects.filter(pk=self.pk, state=State.IN_STOCK, user_id=None)
        won: bool = free.update(state=State.ASSIGNED, user_id=user_id) == 1
        if won:
            self.state, self.user_id = State.ASSIGNED, user_id
        return won

    def hand_back(self) -> bool:
        """A token with a serial is in stock again and nobody's; its moving factor and its drift stay."""
        clean = {"user": None, "name": "", "failures": 0, "paused_until": None, "held_until": None, "confirmed_at": None}
        return bool(self.serial) and self.move(State.IN_STOCK, **clean)


class RecoveryCode(models.Model):
    """One code of a set: its keyed hash, bound to the set's device, and when it was used."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="codes")
    code_hash = MacField(max_length=64, unique=True)
    spent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"code {self.pk} of {self.device_id}"

    def spend(self, now: datetime) -> bool:
        """Used up by this caller alone; False if it was used already."""
        return RecoveryCode.objects.filter(pk=self.pk, spent_at=None).update(spent_at=now) == 1


def uuid_parameter(value: UUID) -> Any:
    """A uuid as `.raw()` wants it: SQLite keeps the hex digits."""
    return value if connection.features.has_native_uuid_field else value.hex


def lock_pending(which: Q) -> list[int]:
    """The keys of the unconfirmed enrolments found, locked until the transaction ends.

    Deleted by these keys and no other condition: Django selects first and deletes by key then, which would hit a device
    that was confirmed between the two.
    """
    return list(Device.objects.select_for_update().filter(PENDING, which).values_list("pk", flat=True))


def forget_pending(which: Q) -> None:
    """The unconfirmed enrolments found are gone."""
    with transaction.atomic():
        Device.objects.filter(pk__in=lock_pending(which)).delete()
