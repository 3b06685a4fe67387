"""Keys that the service made for itself: random, sealed by the keyring, so that the keyring can change and they stay."""

import uuid

from django.db import models
from django.utils import timezone

from mfa_site.fields import SealedField


class StoredKey(models.Model):
    """One key by its name; `sealed` opens only with the right keyring, so it is also the canary of a wrong one."""

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=32, unique=True)
    sealed = SealedField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name
