"""What has been told by mail: one row for each audit event that somebody hears of."""

from django.db import models
from django.db.models import Q


class Notice(models.Model):
    """The mail about one event. The row holds no text and no code: the worker writes the mail when it sends it."""

    event = models.UUIDField(unique=True)
    act = models.CharField(max_length=40)
    person = models.UUIDField()
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()  # a claim moves it to when the next attempt may begin
    sent_at = models.DateTimeField(null=True)
    gave_up_at = models.DateTimeField(null=True)

    class Meta:
        # Only what is still to be sent, however much was sent before.
        indexes = [models.Index(fields=["due_at"], name="notice_due", condition=Q(sent_at=None, gave_up_at=None))]

    def __str__(self) -> str:
        return f"{self.act} {self.event}"
