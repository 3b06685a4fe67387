"""What has to hold before the service starts, beyond its settings: this database is this keyring's."""

import logging

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error

from mfa_site import keyring
from mfa_site.models import StoredKey

log = logging.getLogger(__name__)


def refuse_another_keyring() -> None:
    """The ring opens every stored key of the database, or ImproperlyConfigured says which it does not.

    A database that cannot be asked stops nothing: every request is refused until it is back, and `/readyz` says so.
    """
    try:
        rows = list(StoredKey.objects.order_by("name"))
    except Error as error:
        log.error("started without a database: %s", type(error).__name__)
        return
    for row in rows:
        try:
            keyring.opened(row)
        except keyring.CannotOpen:
            sealed_with, ring = keyring.key_id(row.sealed) or "no known key", ", ".join(settings.KEYRING)
            raise ImproperlyConfigured(
                f"MFA_SITE_KEYS is not the keyring of this database: its stored key {row.name}, sealed with {sealed_with}, "
                f"does not open with the ring {ring}."
            ) from None
