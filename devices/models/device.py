"""The one table of devices: what a person proves possession of."""

from datetime import datetime, timedelta
from uuid import uuid4

from django.conf import settings
from django.db import models, transaction
from django.db.models import Case, Exists, OuterRef, Q, When
from django.utils import timezone

from devices.lifecycle import State
from devices.models.acts import DISABLE_AT, IN_USE, PENDING, Acts
from devices.models.kind import SENT, Attested, Kind
from devices.models.recovery_code import RecoveryCode
from mfa_site import keyring
from mfa_site.fields import MacField, SealedField

UNCONFIRMED_LIFE = timedelta(minutes=10)  # an enrolment begun and not confirmed


class Device(Acts):
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
    model = models.CharField(max_length=100, blank=True)
    batch = models.UUIDField(null=True, db_index=True)  # the seed file with which it came
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

    # Codes that we send: where to, the number of the last one, when it went out and for what, and which certainly did not.
    address = models.CharField(max_length=254, blank=True)
    sent = models.BigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    sent_for = models.UUIDField(null=True)  # the ceremony
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
    attested = models.CharField(max_length=10, choices=Attested, blank=True)  # what its attestation proved; blank: nothing

    created_at = models.DateTimeField(default=timezone.now)
    suspended_until = models.DateTimeField(null=True)  # comes back by itself then; without it somebody resumes it
    # Which administrators had it in hands: enrolled it for its owner, gave it out.
    enrolled_by = models.UUIDField(null=True)
    handed_out_by = models.UUIDField(null=True)
    handed_out_at = models.DateTimeField(null=True)

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
        return (self.is_pending if pending else self._is_in_use) and self._may_answer(now)

    def is_usable(self, now: datetime) -> bool:
        """Whether it may answer now, and rightly so."""
        return self._is_in_use and self.uses_left != 0 and self._may_answer(now)

    @property
    def _is_in_use(self) -> bool:
        return self.state == State.ACTIVE or (self.state == State.ASSIGNED and bool(self.serial))

    def _may_answer(self, now: datetime) -> bool:
        if self.is_disabled or self.is_paused(now) or self.kind in settings.KINDS_OFF:
            return False
        return (self.valid_from is None or self.valid_from <= now) and not self.is_over(now)

    def is_over(self, now: datetime) -> bool:
        """Whether its end has come: of a temporary code, or in the key policy of a seed file."""
        return self.valid_until is not None and self.valid_until <= now

    @classmethod
    def of(cls, user_id: int) -> models.QuerySet["Device"]:
        """The person's devices that can answer in principle, oldest first."""
        return cls.in_use().filter(user_id=user_id).order_by("created_at", "id")

    @classmethod
    def in_use(cls) -> models.QuerySet["Device"]:
        """The devices that can answer in principle: active, or handed out and not tried yet; not of a kind that is off, nor at
        their end; codes if any is left."""
        left = Exists(RecoveryCode.objects.filter(device=OuterRef("pk"), spent_at=None))
        ended = Q(uses_left=0) | Q(valid_until__lte=timezone.now())
        found = cls.objects.filter(IN_USE, ~Q(kind=Kind.RECOVERY) | left).exclude(ended)
        return found.exclude(kind__in=settings.KINDS_OFF) if settings.KINDS_OFF else found

    @classmethod
    def ever_of(cls, user_id: int) -> models.QuerySet["Device"]:
        """Every device that the person ever had, whatever became of it; enrolments not confirmed are none."""
        return cls.objects.filter(user_id=user_id).exclude(PENDING)


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
