"""`manage.py update_metadata`: the newest FIDO metadata is fetched, checked and put where the service reads it."""

from pathlib import Path
from typing import Any

import urllib3
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from urllib3.exceptions import HTTPError

from devices import attestation, fido_metadata

LARGEST = 64 * 1024 * 1024  # it has about 10 MiB


class Command(BaseCommand):
    """Run it once a day, on every host. Keys of models that are not certified any more, or broken, lose what they proved."""

    help = "Fetch and check the FIDO metadata. Example: manage.py update_metadata --file blob.jwt"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", help="take it from this file instead of the address in MFA_SITE_FIDO_METADATA_URL")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.FIDO_METADATA:
            raise CommandError("Set MFA_SITE_FIDO_METADATA to where the metadata is kept.", returncode=2)
        try:
            blob = Path(options["file"]).read_bytes() if options["file"] else fetched(settings.FIDO_METADATA_URL)
            new = fido_metadata.install(blob, timezone.now())
        except (OSError, HTTPError) as error:
            raise CommandError(f"It could not be fetched or written: {error}") from None
        except fido_metadata.NotGenuine as error:
            raise CommandError(f"It was refused, and nothing changed: {error}") from None
        lost = attestation.look_again(new)
        self.stdout.write(f"Number {new.number}, {len(new.by_aaguid)} models; the next is due on {new.next_update}.")
        if lost:
            self.stdout.write(f"{lost} keys are of models that are not certified any more, or broken.")
        if new.next_update < timezone.now().date():
            self.stderr.write("It is out of date: a newer one should be there.")


def fetched(url: str) -> bytes:
    """The file at the address."""
    if not url.startswith("https://"):
        raise CommandError("MFA_SITE_FIDO_METADATA_URL is not https.", returncode=2)
    with urllib3.PoolManager(timeout=30, retries=2).request("GET", url, preload_content=False) as answer:
        if answer.status != 200:
            raise HTTPError(f"the address answers {answer.status}")
        blob = answer.read(LARGEST + 1)
    if len(blob) > LARGEST:
        raise HTTPError("it is too large")
    return bytes(blob)
