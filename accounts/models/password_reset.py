"""A forgotten password: one row for each link that was mailed."""

from django.conf import settings
from django.db import models


class PasswordReset(models.Model):
    """A link, as the hash of its code. Used once, only by a POST, and only while the password is still the forgotten one."""

    code_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    password_mark = models.CharField(max_length=128)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"password reset {self.pk}"
