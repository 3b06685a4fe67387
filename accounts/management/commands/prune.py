"""`manage.py prune`: what is over is forgotten."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from accounts import prune


class Command(BaseCommand):
    """Deletes what is over; the worker does the same, a little at a time."""

    help = (
        "Delete sign-ins, browser sessions and token families that ended more than a day ago, enrolments that were never "
        "confirmed and counts that are over; never audit events. The worker does it too. Example: manage.py prune --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="delete nothing, only count")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        dry = options["dry_run"]
        counts = {name: which.count() for name, which in prune.over(now).items()} if dry else prune.everything(now)
        if options["json"]:
            self.stdout.write(json.dumps(counts))
            return
        verb = "would be deleted" if dry else "deleted"
        self.stdout.write("\n".join(f"{name.replace('_', ' ')}: {count} {verb}" for name, count in counts.items()))
