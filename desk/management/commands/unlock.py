"""`manage.py unlock`: a person's devices that rest after wrong answers work again."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import out_of_use
from accounts.models import User
from accounts.words import sentence
from audit.events import OPERATOR
from devices.lifecycle import State
from devices.models import Device
from mfa_site.client import Client
from mfa_site.errors import Refused

HERE = Client("", "", "")


class Command(BaseCommand):
    """Unlocks what can be unlocked; what was switched off for good is named, and the exit code tells."""

    help = "Forget the wrong answers of a person's devices, so that they rest no more. Example: manage.py unlock ada"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="PERSON")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.named(options["username"])
        if person is None:
            raise CommandError("There is nobody by that name.")
        locked = Device.objects.filter(user=person, failures__gt=0).exclude(state=State.RETIRED).select_related("user")
        told = [unlocked(row) for row in locked.order_by("id")]
        if options["json"]:
            self.stdout.write(json.dumps({"username": person.username, "devices": told}))
        else:
            for one in told:
                self.stdout.write(f"{one['name']} ({one['kind']}): {one['detail']}")
            if not told:
                self.stdout.write("Nothing is locked.")
        refused = [one for one in told if not one["unlocked"]]
        if refused:
            partly = len(refused) < len(told)
            raise CommandError("What was switched off has to be bound anew.", returncode=3 if partly else 1)


def unlocked(row: Device) -> dict[str, Any]:
    """What became of it."""
    about = {"uuid": str(row.uuid), "name": row.name, "kind": row.kind}
    try:
        out_of_use.unlock(row, HERE, timezone.now(), actor=OPERATOR)
    except Refused as refused:
        return {**about, "unlocked": False, "detail": sentence(refused)}
    return {**about, "unlocked": True, "detail": "unlocked"}
