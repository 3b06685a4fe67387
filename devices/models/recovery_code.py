"""The codes of a set."""

from datetime import datetime

from django.db import models

from mfa_site.fields import MacField


class RecoveryCode(models.Model):
    """One code of a set: its keyed hash, bound to the set's device, and when it was used."""

    device = models.ForeignKey("devices.Device", on_delete=models.CASCADE, related_name="codes")
    code_hash = MacField(max_length=64, unique=True)
    spent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"code {self.pk} of {self.device_id}"

    def spend(self, now: datetime) -> bool:
        """Used up by this caller alone; False if it was used already."""
        return RecoveryCode.objects.filter(pk=self.pk, spent_at=None).update(spent_at=now) == 1
