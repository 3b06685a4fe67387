"""What happened: one INSERT a fact, in the transaction of what it tells, never updated."""

import uuid

from django.db import models
from django.db.models.expressions import Func
from django.utils import timezone

from mfa_site.fields import MacField


class Address(Func):
    """The address in `personal`, written so that both databases know it for what the index holds."""

    template = "(%(expressions)s ->> 'address')"
    output_field = models.TextField()

    def __init__(self, column: str = "personal") -> None:
        super().__init__(column)


class Event(models.Model):
    """One fact. `mac` covers every other column, the id too, but `personal`, of which it covers `personal_digest`;
    so personal data can be erased later without breaking the proof."""

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    at = models.DateTimeField(default=timezone.now)
    act = models.CharField(max_length=40)
    reason = models.CharField(max_length=40, blank=True)
    actor = models.UUIDField(null=True)
    person = models.UUIDField(null=True)
    device = models.UUIDField(null=True)
    sid = models.UUIDField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    about = models.JSONField(default=dict)
    personal = models.JSONField(null=True)
    personal_digest = MacField(max_length=120, blank=True)
    mac = MacField(max_length=120)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["at", "id"], name="event_at"),
            # Each begins a search (`audit.search`), newest first within it.
            *(
                models.Index(fields=[column, "at", "id"], name=f"event_{column}")
                for column in ("request_id", "device", "person", "actor", "act")
            ),
            models.Index(Address(), "at", "id", name="event_address"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.act} {self.reason}".rstrip()


class Seal(models.Model):
    """What the rows from `first` to `last` were, said once and signed, after the seal before it.

    `missing`: ids of the range that had not come and never could any more, as pairs of first and last. `events`: SHA-256
    over the rows. `hash`: SHA-256 over every column above it; the newest one is the head, which the log has too.
    """

    number = models.PositiveBigIntegerField(primary_key=True)  # 1, 2, 3 …: of two workers one can write the next
    at = models.DateTimeField()
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    missing = models.JSONField(default=list)
    events = models.CharField(max_length=64)
    previous = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)
    signature = models.CharField(max_length=120)

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number}: {self.first}-{self.last}"


class Tally(models.Model):
    """How many sealed events of a day (UTC) have this act, kind of device and reason: a copy for the dashboard, no evidence."""

    day = models.DateField()
    act = models.CharField(max_length=40)
    kind = models.CharField(max_length=12, blank=True)
    reason = models.CharField(max_length=40, blank=True)
    events = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "act", "kind", "reason"], name="tally_one_each")]


class Tallied(models.Model):
    """The one row that says up to which seal the events are counted."""

    seal = models.PositiveBigIntegerField(default=0)
