"""What people are handed for an API: signing keys, refresh families and their tokens.

A family carries opaque ids under which it can be ended (`person`, `device`); nothing here knows what a
device or a session is.
"""

import uuid

from django.db import models
from django.utils import timezone

from mfa_site.fields import SealedField


class SigningKey(models.Model):
    """A key for access tokens, published from the start. It signs from `signs_from` on until a later one does, and verifies
    until `retired_at`. The private part is sealed."""

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kid = models.CharField(max_length=64, unique=True)
    algorithm = models.CharField(max_length=8, default="ES256")
    public = models.JSONField()
    private = SealedField()
    signs_from = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    retired_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.kid


class RefreshFamily(models.Model):
    """All refresh tokens that followed from one sign-in, with what was proven in it. `uuid` is the tokens' `sid`."""

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    person = models.UUIDField(db_index=True)
    device = models.UUIDField(null=True, db_index=True)
    client_id = models.CharField(max_length=64)
    audience = models.CharField(max_length=255)
    scope = models.CharField(max_length=255)
    amr = models.JSONField()
    acr = models.CharField(max_length=8)
    auth_time = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)  # the last new pair; none since the first where it is empty
    idle_until = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_for = models.CharField(max_length=40, blank=True)

    class Meta:
        verbose_name_plural = "refresh families"

    def __str__(self) -> str:
        return str(self.uuid)


class RefreshToken(models.Model):
    """One token of a family, as a hash; spent ones stay as long as the family, so that reuse is recognised."""

    id = models.BigAutoField(primary_key=True)
    family = models.ForeignKey(RefreshFamily, on_delete=models.CASCADE, related_name="tokens")
    token_hash = models.CharField(max_length=64, unique=True)
    spent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"refresh token of {self.family_id}"
