"""A forgotten password: one row for each link that was mailed."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Exists, OuterRef, QuerySet


class PasswordResets(models.Manager["PasswordReset"]):
    """Knows which links are good."""

    def usable(self, now: datetime) -> "QuerySet[PasswordReset]":
        """Not used, not over, the newest of an active person."""
        newer = PasswordReset.objects.filter(user=OuterRef("user_id"), pk__gt=OuterRef("pk"))
        active = get_user_model().objects.filter(pk=OuterRef("user_id"), is_active=True)
        return self.filter(~Exists(newer), Exists(active), used_at=None, expires_at__gt=now)


class PasswordReset(models.Model):
    """A link, as the hash of its code. Used once, only by a POST, and only while the password is still the forgotten one."""

    code_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    password_mark = models.CharField(max_length=128)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    objects = PasswordResets()

    def __str__(self) -> str:
        return f"password reset {self.pk}"

    def use(self, now: datetime) -> bool:
        """Used up, by this caller alone, if it is good and the person's password as it was read; else False."""
        same = get_user_model().objects.filter(pk=OuterRef("user_id"), password=self.user.password)
        return PasswordReset.objects.usable(now).filter(Exists(same), pk=self.pk).update(used_at=now) == 1
