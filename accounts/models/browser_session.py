"""The sessions of browsers: rows with hashes of the cookie's value, never the value."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone

from devices.lifecycle import State

IDLE = timedelta(minutes=30)  # NIST SP 800-63B-4 2.2.3 allows an hour at AAL2
IDLE_STAFF = timedelta(minutes=15)  # AAL3's limit
LONGEST = timedelta(hours=12)
BEFORE_SIGN_IN = timedelta(minutes=10)  # a session that only remembers sign-ins in progress
SEEN_EVERY = timedelta(minutes=1)  # how precisely `last_seen_at` is kept: not every request writes


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
        """The session of this cookie with its person and device, if all three are alive; one statement."""
        row = (
            cls.objects.select_related("person", "device")
            .filter(value_hash=value_hash, ended_at=None, expires_at__gt=now)
            .first()
        )
        if row is None or row.person is None:
            return row
        idle = IDLE_STAFF if row.person.is_staff else IDLE
        device_is_alive = row.device is not None and row.device.state == State.ACTIVE
        return row if row.person.is_active and device_is_alive and now < row.last_seen_at + idle else None

    def seen(self, now: datetime) -> None:
        """The row says that the browser was here, to the minute."""
        if self.person_id and now - self.last_seen_at >= SEEN_EVERY:
            BrowserSession.objects.filter(pk=self.pk, last_seen_at=self.last_seen_at).update(last_seen_at=now)

    @classmethod
    def end(cls, which: Q, reason: str, now: datetime) -> int:
        """The sessions found are ended; how many were."""
        found: QuerySet[BrowserSession] = cls.objects.filter(which, ended_at=None)
        return found.update(ended_at=now, ended_for=reason)
