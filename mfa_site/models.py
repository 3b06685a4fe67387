"""The frame's own tables: the keys that the service made for itself, and what it counts."""

import uuid

from django.db import models
from django.utils import timezone

from mfa_site.fields import SealedField


class StoredKey(models.Model):
    """One key by its name: random, and sealed, so that the keyring can change and it stays.

    `sealed` opens only with the right keyring, so it is also the canary of a wrong one.
    """

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=32, unique=True)
    sealed = SealedField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class Counter(models.Model):
    """How often something happened until `expires_at`; `mfa_site.counters` changes it. Times are milliseconds since 1970."""

    key = models.CharField(max_length=64, primary_key=True)
    most = models.PositiveIntegerField()
    count = models.PositiveIntegerField()
    held_until = models.BigIntegerField()
    blocked_until = models.BigIntegerField()
    expires_at = models.BigIntegerField(db_index=True)

    def __str__(self) -> str:
        return f"{self.count} of {self.most}"
