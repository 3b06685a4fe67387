"""What the desk has tables for; `Desk` has none and holds the permissions."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from desk.roles import PERMISSIONS
from mfa_site.fields import SealedField


class Desk(models.Model):
    """What the permissions of `desk.roles` hang on."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = tuple(PERMISSIONS.items())


class Batch(models.Model):
    """One token file that was brought: seen by nobody else until it is imported, and from then on the record of it.

    `uuid` is also that of its devices. `new`, `existing`, `unfit`, `refused`: what the preview found, of `existing` serials
    those that cannot be replaced; `accepted`, `skipped`, `replaced`: what became of them. Unless it was imported, nothing of it
    is there after `expires_at`.
    """

    class State(models.TextChoices):
        """Where it is on its way."""

        READING = "reading", _("Being read")
        PREVIEWED = "previewed", _("Not imported yet")
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Being imported")
        FAILED = "failed", _("Failed")
        DONE = "done", _("Imported")
        UNDONE = "undone", _("Undone")

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    state = models.CharField(max_length=10, choices=State, default=State.READING)
    by = models.UUIDField()  # the administrator, or the operator (`audit.events`)
    file_name = models.CharField(max_length=100, blank=True)
    digest = models.CharField(max_length=64)  # SHA-256 of the file
    file_format = models.CharField(max_length=12)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, db_index=True)

    new = models.PositiveIntegerField(default=0)
    existing = models.PositiveIntegerField(default=0)
    unfit = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)

    choice = models.CharField(max_length=7, default="refuse")  # `judging.Existing`
    asked_from = models.JSONField(null=True)  # the client's facts of who started it, until it is done
    progress = models.PositiveSmallIntegerField(default=0)  # percent
    why = models.CharField(max_length=30, blank=True)  # it failed: a name of `seed_files.Why`

    accepted = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    replaced = models.PositiveIntegerField(default=0)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.UUIDField(null=True)

    class Meta:
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return f"{self.file_name or self.uuid}"

    @property
    def is_on_its_way(self) -> bool:
        """Whether a worker has it, or will."""
        return self.state in (self.State.WAITING, self.State.RUNNING)

    @property
    def is_record(self) -> bool:
        """Whether it was imported, whatever became of it then."""
        return self.state in (self.State.DONE, self.State.UNDONE)

    @classmethod
    def seen_by(cls, person: UUID, now: datetime) -> "models.QuerySet[Batch]":
        """What this administrator may look at: everything that was imported, and what they brought themselves."""
        imported = Q(state__in=(cls.State.DONE, cls.State.UNDONE))
        return cls.objects.filter(imported | Q(~Q(state=cls.State.READING), by=person, expires_at__gt=now))

    def move(self, old: State, new: State, /, **columns: Any) -> bool:
        """It is in the new state if it was in the old one, in one statement."""
        changed = Batch.objects.filter(pk=self.pk, state=old).update(state=new, **columns)
        if changed:
            for name, value in {"state": new, **columns}.items():
                setattr(self, name, value)
        return changed == 1


class Part(models.Model):
    """Some rows of a batch that are alike: a page of the preview, and, sealed, what is needed to import them.

    `shown` has no seed; `sealed` is gone as soon as the batch is imported, or cannot be.
    """

    class Fate(models.IntegerChoices):
        """What its rows are, in the order in which they are shown."""

        REFUSED = 0, _("Refused")
        EXISTING = 1, _("There already")
        NEW = 2, _("OK")

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="parts")
    fate = models.PositiveSmallIntegerField(choices=Fate)
    shown = models.JSONField()
    sealed = SealedField(blank=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.batch_id}.{self.pk}"


class Approval(models.Model):
    """One act that an administrator asked for and another has to approve. `what` says exactly which; `about` is for the eyes of
    the other, and holds no secret. Approved, it is used once, by who asked."""

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    what = models.CharField(max_length=200)
    about = models.JSONField(default=dict)
    person = models.UUIDField(null=True)  # whom it is about: they do not approve it
    asked_by = models.UUIDField()
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    decided_by = models.UUIDField(null=True)
    approved_at = models.DateTimeField(null=True)
    refused_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            # Whoever asks twice at the same moment has asked once.
            models.UniqueConstraint(
                name="approval_one_waiting",
                fields=["what", "asked_by"],
                condition=Q(approved_at=None, refused_at=None, used_at=None),
            )
        ]

    def __str__(self) -> str:
        return self.what

    def decide(self, by: UUID, now: datetime, *, approve: bool) -> bool:
        """Approved or refused by this administrator; False if it is over or decided already."""
        column = "approved_at" if approve else "refused_at"
        waiting = Approval.objects.filter(pk=self.pk, approved_at=None, refused_at=None, expires_at__gt=now)
        return waiting.update(decided_by=by, **{column: now}) == 1

    def use(self, now: datetime) -> bool:
        """Used up, by this caller alone."""
        good = Approval.objects.filter(pk=self.pk, approved_at__isnull=False, used_at=None, expires_at__gt=now)
        return good.update(used_at=now) == 1
