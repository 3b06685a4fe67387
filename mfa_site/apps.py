"""The frame as a Django app: it has the table of stored keys and makes the missing ones when the database is migrated."""

import secrets
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class Frame(AppConfig):
    """The frame."""

    name = "mfa_site"

    def ready(self) -> None:
        post_migrate.connect(make_stored_keys, sender=self)


def make_stored_keys(**about: Any) -> None:
    """Every key that the service needs of its own is in the database; existing ones stay as they are."""
    from mfa_site import keyring

    keyring.store(keyring.MAC, secrets.token_bytes(32))
