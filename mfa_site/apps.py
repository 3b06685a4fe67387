"""The frame as a Django app: it has the table of stored keys and makes the missing ones when the database is migrated."""

import secrets
from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import post_migrate, pre_migrate


class Frame(AppConfig):
    """The frame."""

    name = "mfa_site"

    def ready(self) -> None:
        pre_migrate.connect(leave_another_database_alone, sender=self)
        post_migrate.connect(make_stored_keys, sender=self)


def leave_another_database_alone(**about: Any) -> None:
    """Nothing is migrated, and no key stored, in a database of another keyring."""
    from mfa_site.models import StoredKey
    from mfa_site.start import refuse_another_keyring

    if StoredKey._meta.db_table in connection.introspection.table_names():
        refuse_another_keyring()


def make_stored_keys(**about: Any) -> None:
    """Every key that the service needs of its own is in the database; existing ones stay as they are."""
    from mfa_site import keyring

    keyring.store(keyring.MAC, secrets.token_bytes(32))
