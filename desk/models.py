"""What the desk has tables for; `Desk` has none and holds the permissions."""

from django.db import models

from desk.roles import PERMISSIONS


class Desk(models.Model):
    """What the permissions of `desk.roles` hang on."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = tuple(PERMISSIONS.items())
