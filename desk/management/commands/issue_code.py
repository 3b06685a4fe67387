"""`manage.py issue_code`: a temporary code for somebody who has no device at hand."""

import json
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import temporary
from accounts.models import User
from audit.events import OPERATOR
from mfa_site.client import Client
from mfa_site.errors import Refused

HERE = Client("", "", "")


class Command(BaseCommand):
    """Prints the code once; only its keyed hash is kept."""

    help = (
        "Issue a temporary code in place of any other of that person. "
        'Example: manage.py issue_code ada --reason "left the token at home, seen at the desk"'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--reason", required=True, help="why, for the audit")
        parser.add_argument("--uses", type=int, default=1, help="how often it opens (1)")
        parser.add_argument("--hours", type=float, default=24, help="how long it lives (24)")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.named(options["username"])
        if person is None:
            raise CommandError("There is nobody by that name.")
        if not 0 < options["hours"] <= 1000:
            raise CommandError("--hours goes up to 168.", returncode=2)
        life, now = timedelta(hours=options["hours"]), timezone.now()
        try:
            row, code = temporary.issue(person, options["reason"], HERE, now, actor=OPERATOR, uses=options["uses"], life=life)
        except Refused as refused:
            raise CommandError(refused.facts.get("detail", "That person is disabled."), returncode=2) from None
        until = row.valid_until.isoformat(timespec="seconds") if row.valid_until else ""
        if options["json"]:
            self.stdout.write(json.dumps({"username": person.username, "code": code, "expires_at": until}))
        else:
            often = "once" if options["uses"] == 1 else f"{options['uses']} times"
            weak = "lets people see their account and add a device within half an hour, nothing else"
            opens = weak if settings.TEMPORARY_ACR == "aal1" else "opens everything"
            self.stdout.write(
                f"{code}\nfor {person.username}, until {until}. It is not shown again, and replaces any code before."
            )
            self.stdout.write(f"It works {often}, after the password, and {opens}.")
