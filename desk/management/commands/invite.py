"""`manage.py invite`: a link and a code with which somebody enrols one device."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import invitations
from accounts.models import User
from accounts.words import sentence
from audit.events import OPERATOR
from devices import kinds
from mfa_site.client import Client
from mfa_site.errors import Refused
from mfa_site.site import this_site

HERE = Client("", "", "")


class Command(BaseCommand):
    """Prints link and code once; only their keyed hashes are kept."""

    help = (
        "Invite a person to enrol one device, in place of any other invitation. "
        "Example: manage.py invite ada --kind fido2 --ask-surviving-factor"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--kind", action="append", help="what may be enrolled, once for each kind (all that are offered)")
        parser.add_argument(
            "--ask-surviving-factor",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="ask for a strong device that the person still has, if there is one",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.named(options["username"])
        if person is None:
            raise CommandError("There is nobody by that name.")
        wanted = options["kind"] or [name for name, _module in kinds.offered(this_site())]
        ask, now = options["ask_surviving_factor"], timezone.now()
        try:
            made = invitations.make(person, wanted, HERE, now, actor=OPERATOR, ask_surviving_factor=ask)
        except Refused as refused:
            raise CommandError(sentence(refused), returncode=2) from None
        until = made.invitation.expires_at.isoformat(timespec="seconds")
        if options["json"]:
            told = {"username": person.username, "url": made.url, "code": made.code, "expires_at": until}
            self.stdout.write(json.dumps(told))
        else:
            self.stdout.write(f"{made.url}\nor the code {made.code}\nfor {person.username}, until {until}.")
            self.stdout.write("It is not shown again, replaces any invitation before, and works once, after the password.")
