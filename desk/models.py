"""What the desk has tables for; `Desk` has none and holds the permissions."""

from datetime import datetime
from uuid import UUID, uuid4

from django.db import models
from django.db.models import Q

from desk.roles import PERMISSIONS


class Desk(models.Model):
    """What the permissions of `desk.roles` hang on."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = tuple(PERMISSIONS.items())


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

    def give_back(self, now: datetime) -> None:
        """What it was used for did not happen: it can be used again."""
        Approval.objects.filter(pk=self.pk, used_at=now).update(used_at=None)
