"""An invitation of an administrator to enrol one device: one row for each, its codes as keyed hashes."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from mfa_site.fields import MacField

LIFE = timedelta(hours=24)  # a person and an administrator who talk today; a link that is found next week is over
UNUSED = Q(used_at=None, withdrawn_at=None)


class Invitations(models.Manager["Invitation"]):
    """Knows which are good."""

    def usable(self, now: datetime) -> "QuerySet[Invitation]":
        """Not used, not withdrawn, not over."""
        return self.filter(UNUSED, expires_at__gt=now)


class Invitation(models.Model):
    """One device of one of `kinds`, for one person, until its end. The device that becomes active uses it up, nothing else."""

    class State(models.TextChoices):
        """What an administrator sees of it. None is stored: all follow from the times."""

        SENT = "sent", _("Sent")
        OPENED = "opened", _("Opened")
        DONE = "done", _("Done")
        EXPIRED = "expired", _("Expired")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="invitations")
    kinds = models.JSONField()
    ask_surviving_factor = models.BooleanField()
    link_hash = MacField(max_length=64, unique=True)
    code_hash = MacField(max_length=64, unique=True)
    made_by = models.UUIDField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    opened_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    objects = Invitations()

    class Meta:
        constraints = [models.UniqueConstraint(name="invitation_one_open", fields=["person"], condition=UNUSED)]

    def __str__(self) -> str:
        return f"invitation {self.uuid}"

    def state(self, now: datetime) -> State:
        """Where it stands. One that was over before it was withdrawn, as a newer one does to all, is over."""
        if self.used_at is not None:
            return self.State.DONE
        if min(now, self.withdrawn_at or now) >= self.expires_at:
            return self.State.EXPIRED
        if self.withdrawn_at is not None:
            return self.State.WITHDRAWN
        return self.State.OPENED if self.opened_at else self.State.SENT

    def is_open(self, now: datetime) -> bool:
        """Whether a device may still be enrolled by it."""
        return self.state(now) in (self.State.SENT, self.State.OPENED)

    def open(self, now: datetime) -> bool:
        """Opened for the first time, by this caller; False if it was before, or is over."""
        return Invitation.objects.usable(now).filter(pk=self.pk, opened_at=None).update(opened_at=now) == 1

    def use(self, now: datetime) -> bool:
        """Used up, by this caller alone; False if it is not good any more."""
        return Invitation.objects.usable(now).filter(pk=self.pk).update(used_at=now) == 1

    def withdraw(self, now: datetime) -> bool:
        """Withdrawn, by this caller; False if it was over already."""
        return Invitation.objects.usable(now).filter(pk=self.pk).update(withdrawn_at=now) == 1
