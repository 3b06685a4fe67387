"""`manage.py settings_reference`: docs/reference/settings.md, made from the list in the code."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mfa_site import env


class Command(BaseCommand):
    """Writes or checks the page."""

    help = "Write docs/reference/settings.md from the code. Example: manage.py settings_reference --check"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say whether the page is what the code says")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.ROOT) / "docs" / "reference" / "settings.md"
        page = made()
        if options["check"]:
            if not path.exists() or path.read_text(encoding="utf-8") != page:
                raise CommandError("docs/reference/settings.md is old; run manage.py settings_reference.")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")


def made() -> str:
    """The page's text."""
    rows = [
        f"| `{env.PREFIX}{name}`{' *' if name in env.SECRETS else ''} | {default} | {meaning} |"
        for name, (default, meaning) in env.SETTINGS.items()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "All from the environment. Those with a star may come from a file: `MFA_SITE_KEYS_FILE=/run/secrets/keys`.",
            "An unknown `MFA_SITE_…` variable, and every unsafe value, stops the start and says why.",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )
