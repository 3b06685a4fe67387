"""`manage.py seed_demo`: the demo people, and as many more as a load test wants."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts import demo
from accounts.models import User
from devices.lifecycle import State
from devices.models import Device
from grants.models import RefreshFamily


class Command(BaseCommand):
    """Fills an empty database with demo people."""

    help = (
        "Fill an empty database with the demo people (only with MFA_SITE_DEBUG=1 or MFA_SITE_DEMO=1). "
        "Example: manage.py seed_demo --json --people 1000"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print everything that was seeded, secrets too, as JSON")
        parser.add_argument(
            "--people", type=int, default=0, help="this many more people, with an app and a key each, and tokens"
        )
        parser.add_argument("--reset", action="store_true", help="first remove all people and what is theirs")
        parser.add_argument("--if-empty", action="store_true", help="do nothing where there are people already")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.LOCAL:
            raise CommandError("Demo people exist only with MFA_SITE_DEBUG=1 or MFA_SITE_DEMO=1.")
        if not 0 <= options["people"] <= 1_000_000:
            raise CommandError("--people goes from 0 to 1000000.", returncode=2)
        if options["reset"]:
            self.remove_people()
        elif User.objects.exists():
            if options["if_empty"]:
                return
            raise CommandError("There are people in the database. --reset removes them first.")
        now = timezone.now()
        people = demo.seed(now)
        more = demo.seed_many(options["people"], settings.DEMO, now)
        if options["json"]:
            seeded = {"base_url": settings.BASE_URL, "people": [person.as_json() for person in (*people, *more)], "clients": []}
            self.stdout.write(json.dumps(seeded, indent=1))
        else:
            count = len(people) + sum(1 for _person in more)
            self.stdout.write(f"{count} people. Names, passwords and current codes: {settings.BASE_URL}/demo/")

    @staticmethod
    def remove_people() -> None:
        """People and everything of theirs are gone, tokens from the stock are in it again; signing keys and audit
        stay."""
        with transaction.atomic():
            handed_out = Device.objects.filter(user__isnull=False, state__in=(State.ASSIGNED, State.ACTIVE, State.SUSPENDED))
            seeded = Q(serial="") | Q(serial__startswith="DEMO-") | Q(serial__startswith="LOAD-")
            for token in handed_out.exclude(seeded):
                token.hand_back()
            Device.objects.filter(Q(user__isnull=False) | seeded).delete()
            RefreshFamily.objects.all().delete()
            User.objects.all().delete()
