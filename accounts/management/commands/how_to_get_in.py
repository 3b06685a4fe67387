"""`manage.py how_to_get_in`: what a stranger needs to see after `make run`."""

import socket
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.demo import HARDWARE, PEOPLE, password_of
from accounts.models import User
from devices.kinds import module


class Command(BaseCommand):
    """Prints the address and the demo people. Example: manage.py how_to_get_in"""

    help = "Print the address of the demo and how to get in. Example: manage.py how_to_get_in"

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.LOCAL:
            raise CommandError("Demo people exist only with MFA_SITE_DEBUG=1 or MFA_SITE_DEMO=1.")
        port = urlsplit(settings.BASE_URL).port or 80
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                raise CommandError(f"Port {port} is taken or no port. Choose another: PORT=9000 make run") from None
        self.stdout.write(f"\n  Sign in:        {settings.BASE_URL}/sign-in/\n  Current codes:  {settings.BASE_URL}/demo/\n")
        for user in User.objects.filter(username__in=PEOPLE).order_by("id"):
            told = HARDWARE.get(user.username, {}).get("model", "").lower()
            kinds = [told or str(module(kind).TITLE).lower() for kind in PEOPLE[user.username][2]]
            owns = " and ".join(kinds) or "no device yet: enrols the first one"
            self.stdout.write(f"  {user.username:<10} {password_of(user.username):<24} {owns}")
        self.stdout.write("\n  Stop with Ctrl-C.\n")
