"""Grants as a Django app: there is a signing key as soon as the database is migrated."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class Grants(AppConfig):
    """What people are handed."""

    name = "grants"

    def ready(self) -> None:
        post_migrate.connect(make_first_key, sender=self)


def make_first_key(**about: Any) -> None:
    """There is a key to sign with; existing ones stay as they are. No request ever makes one."""
    from grants import signing

    signing.make_first()
