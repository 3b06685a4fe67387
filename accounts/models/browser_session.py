"""The sessions of browsers: rows with hashes of the cookie's value, never the value."""

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from devices.lifecycle import State
from devices.models import Device

if TYPE_CHECKING:
    from accounts.models.user import User

IDLE = timedelta(minutes=30)  # NIST SP 800-63B-4 2.2.3 allows an hour at AAL2
IDLE_STAFF = timedelta(minutes=15)  # AAL3's limit
LONGEST = timedelta(hours=12)
BEFORE_SIGN_IN = timedelta(minutes=10)  # a session that only remembers sign-ins in progress
SEEN_EVERY = timedelta(minutes=1)  # how precisely `last_seen_at` is kept: not every request writes
RENEW_EVERY = timedelta(minutes=15)  # of use: how long a value that leaked is worth something by itself
OVERLAP = timedelta(seconds=30)  # for requests that were on their way when the newer value was first used


class BrowserSession(models.Model):
    """One browser. Without a person it only remembers the sign-ins that this browser began (`data`)."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    value_hash = models.CharField(max_length=64, unique=True)
    previous_hash = models.CharField(max_length=64, null=True, unique=True)
    previous_until = models.DateTimeField(null=True)  # set when the value after it was first used
    renewed_at = models.DateTimeField(default=timezone.now)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="browser_sessions")
    device = models.ForeignKey("devices.Device", null=True, on_delete=models.CASCADE)
    amr = models.JSONField(default=list)
    acr = models.CharField(max_length=8, blank=True)
    auth_time = models.DateTimeField(null=True)
    data = models.JSONField(default=dict)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_for = models.CharField(max_length=40, blank=True)

    def __str__(self) -> str:
        return str(self.uuid)

    @classmethod
    def alive(cls, value_hash: str, now: datetime) -> "BrowserSession | None":
        """The session of this cookie with its person and device, if all three are alive; one statement.

        The value is the newest, or the one before it until OVERLAP after the newest was first used.
        """
        before = Q(previous_hash=value_hash) & (Q(previous_until=None) | Q(previous_until__gt=now))
        found = cls.objects.select_related("person", "device").filter(
            Q(value_hash=value_hash) | before, ended_at=None, expires_at__gt=now
        )
        row = next(iter(found), None)
        if row is None or row.person is None:
            return row
        idle = IDLE_STAFF if row.person.is_staff else IDLE
        device_is_alive = row.device is not None and row.device.state == State.ACTIVE
        return row if row.person.is_active and device_is_alive and now < row.last_seen_at + idle else None

    @classmethod
    def living(cls, person: "User", now: datetime) -> Q:
        """The condition on a session that it is this person's, and alive."""
        device = Device.objects.filter(pk=OuterRef("device_id"), state=State.ACTIVE)
        seen = Q(last_seen_at__gt=now - (IDLE_STAFF if person.is_staff else IDLE))
        return seen & Q(Exists(device), person=person, ended_at=None, expires_at__gt=now)

    @classmethod
    def just_replaced(cls, value_hash: str, now: datetime) -> bool:
        """Whether a living session had this value until a moment ago, so that its newer one may be on the way."""
        return cls.objects.filter(previous_hash=value_hash, ended_at=None, renewed_at__gt=now - OVERLAP).exists()

    def is_due(self, value_hash: str, now: datetime) -> bool:
        """Whether this value is to be renewed: the newest, in use for long enough, and the one before it dead."""
        settled = self.previous_hash is None or (self.previous_until is not None and self.previous_until <= now)
        return value_hash == self.value_hash and settled and now - self.renewed_at >= RENEW_EVERY

    def renew(self, new_hash: str, now: datetime) -> bool:
        """The new value is the newest and the newest the one before, by this caller alone; else False."""
        columns: dict[str, Any] = {
            "value_hash": new_hash,
            "previous_hash": self.value_hash,
            "previous_until": None,
            "renewed_at": now,
            "last_seen_at": now,
        }
        if BrowserSession.objects.filter(pk=self.pk, value_hash=self.value_hash, ended_at=None).update(**columns) != 1:
            return False
        for name, value in columns.items():
            setattr(self, name, value)
        return True

    def seen(self, value_hash: str, now: datetime) -> None:
        """The row says that the browser was here, to the minute, and since when the newest value is in use."""
        same = BrowserSession.objects.filter(pk=self.pk, value_hash=self.value_hash)
        if value_hash == self.value_hash and self.previous_hash and self.previous_until is None:
            same.filter(previous_until=None).update(previous_until=now + OVERLAP, last_seen_at=now)
        elif now - self.last_seen_at >= SEEN_EVERY:
            same.filter(last_seen_at=self.last_seen_at).update(last_seen_at=now)

    @classmethod
    def end(cls, which: Q, reason: str, now: datetime) -> int:
        """The sessions found are ended; how many were."""
        found: QuerySet[BrowserSession] = cls.objects.filter(which, ended_at=None)
        return found.update(ended_at=now, ended_for=reason)
