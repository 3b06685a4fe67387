"""`manage.py create_person`: an account that may enrol its first device within seven days."""

import json
import sys
from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User


class Command(BaseCommand):
    """Creates a person; the password comes from the terminal or standard input, never from the command line."""

    help = "Create a person. Example: manage.py create_person ada --email ada@example.org --staff < password.txt"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", default="")
        parser.add_argument("--name", default="")
        parser.add_argument("--staff", action="store_true", help="an administrator")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        columns = {"name": options["name"], "is_staff": options["staff"], "is_superuser": options["staff"]}
        try:
            draft = User(username=options["username"], email=options["email"], **columns)
            password = ask_password() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
            if not password:
                raise CommandError("Give the password on standard input, in one line.", returncode=2)
            validate_password(password, draft)
            user = User.objects.create_user(options["username"], options["email"], password, **columns)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        until = user.enrol_until.isoformat(timespec="seconds") if user.enrol_until else None
        if options["json"]:
            self.stdout.write(json.dumps({"uuid": str(user.uuid), "username": user.username, "enrol_until": until}))
        else:
            self.stdout.write(f"{user.username} may sign in and enrol a first device until {until}.")


def ask_password() -> str:
    """The password, typed twice alike."""
    password = getpass("Password (at least 15 characters): ")
    if getpass("The same again: ") != password:
        raise CommandError("The two were not the same.")
    return password
