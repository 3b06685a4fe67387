"""`manage.py relax_policy`: a policy asks for nothing any more, for the day on which it shut the administrators out."""

from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import changing_policy
from accounts.rules import Rule
from audit.events import OPERATOR
from mfa_site.client import Client
from mfa_site.errors import Refused

HERE = Client("", "", "")


class Command(BaseCommand):
    """Goes the same way as the page; the audit has it under the operator."""

    help = "Let a policy ask for nothing any more. Example: manage.py relax_policy --everybody"

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--everybody", action="store_true", help="the policy of everybody")
        which.add_argument("--group", help="the policy of the group of this name")

    def handle(self, *args: Any, **options: Any) -> None:
        group = None if options["everybody"] else Group.objects.filter(name=options["group"]).first()
        if group is None and not options["everybody"]:
            raise CommandError("There is no group of that name.", returncode=2)
        rule, version = changing_policy.current(group)
        try:
            changing_policy.change_policy(group, Rule(rule.group), version, HERE, timezone.now(), actor=OPERATOR)
        except Refused:
            raise CommandError("Somebody changed it at the same moment. Try again.") from None
        self.stdout.write(f"The policy of {group.name if group else 'everybody'} asks for nothing any more.")
