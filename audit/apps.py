"""The audit as a Django app: the key that signs its seals is made when the database is migrated."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.apps import AppConfig
from django.db.models.signals import post_migrate


class Audit(AppConfig):
    """The audit."""

    name = "audit"

    def ready(self) -> None:
        post_migrate.connect(make_signing_key, sender=self)


def make_signing_key(**about: Any) -> None:
    """The audit has a signing key of its own, kept sealed; an existing one stays as it is."""
    from audit.seals import KEY
    from mfa_site import keyring

    keyring.store(KEY, Ed25519PrivateKey.generate().private_bytes_raw())
