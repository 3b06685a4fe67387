"""`manage.py rotate_signing_keys`: a new key for access tokens, known to every verifier before it signs."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from grants import access, signing
from grants.models import SigningKey

COPY = timedelta(seconds=signing.COPY_LIFE)
PUBLISHED_BEFORE = signing.PUBLISHED_LIFE + COPY  # then no cache holds a set without it
VERIFIES_AFTER = access.LIFE + COPY + timedelta(minutes=1)  # the last token that it signed, and clocks that differ


class Command(BaseCommand):
    """One call: the new key is published now, signs after the caches have it, and the old ones retire after their tokens."""

    help = (
        "Publish a new signing key now; eleven minutes later it signs, and seven minutes after that the old one is gone. "
        "Example: manage.py rotate_signing_keys --json"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--at-once",
            action="store_true",
            help="the old key leaked: the new one signs now, and every access token signed before is refused within a minute",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        new, retired_at = rotate(now, at_once=options["at_once"])
        times = {"signs_from": new.signs_from, "others_retire_at": retired_at}
        told = {"kid": new.kid} | {name: moment.isoformat(timespec="seconds") for name, moment in times.items()}
        if options["json"]:
            self.stdout.write(json.dumps(told))
        else:
            self.stdout.write("{kid} signs from {signs_from}; earlier keys verify until {others_retire_at}.".format(**told))


def rotate(now: datetime, *, at_once: bool = False) -> tuple[SigningKey, datetime]:
    """A new key is published, and every earlier one has a time at which it retires: the key and that time.

    Private parts of keys that have retired are gone.
    """
    signs_from = now if at_once else now + PUBLISHED_BEFORE
    retired_at = now if at_once else signs_from + VERIFIES_AFTER
    with transaction.atomic():
        new = signing.make(signs_from)
        earlier = SigningKey.objects.exclude(pk=new.pk)
        earlier.filter(Q(retired_at=None) | Q(retired_at__gt=retired_at)).update(retired_at=retired_at)
        earlier.filter(retired_at__lte=now).update(private="")
    return new, retired_at
