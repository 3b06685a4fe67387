"""`manage.py rotate_keys`: every sealed value under the first key of MFA_SITE_KEYS, while the service runs."""

import json
from collections import Counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mfa_site import keyring, rotation


class Command(BaseCommand):
    """Reseals, then says which keys are still in use."""

    help = (
        "Seal everything with the first key of MFA_SITE_KEYS, while the service runs; say which keys are still in use. "
        "Exit code 3 where something does not open or is still sealed with another key; 1, with nothing changed, where the "
        "first key is not the one that sealed under its id. "
        "Example: manage.py rotate_keys --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="change nothing, only say what is sealed with which key")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            resealed = {} if options["dry_run"] else {column.place: column.resealed for column in rotation.reseal()}
        except rotation.FalseKey as false:
            raise CommandError(f"Nothing changed: {false}.", returncode=1) from None
        told = report(resealed)
        self.stdout.write(json.dumps(told, indent=1) if options["json"] else in_words(told))
        closed = sum(column["closed"] for column in told["sealed"].values())
        if closed:
            raise CommandError(f"{closed} sealed values do not open: no key in MFA_SITE_KEYS opens them.", returncode=3)
        first = keyring.first_key_id()
        late = ", ".join(key for key in told["in_use"] if key != first)
        if late and not options["dry_run"]:
            why = f"Still sealed with {late}: is every process started with {first} first? Run it again."
            raise CommandError(why, returncode=3)


def report(resealed: dict[str, int]) -> dict[str, Any]:
    """What is sealed with which key now, by `table.column`; no value of any row."""
    sealed, macs = rotation.inspect(), rotation.old_macs()
    in_use = sum((column.keys for column in sealed), Counter[str]())
    needed = in_use + sum((column.keys for column in macs), Counter[str]())
    closed = any(column.closed for column in sealed)  # then any key may be the one that is missed
    return {
        "sealed": {
            column.place: {
                "resealed": resealed.get(column.place, 0),
                "keys": dict(column.keys),
                "closed": column.closed,
                "closed_rows": column.closed_rows,
            }
            for column in sealed
        },
        "old_macs": {column.place: dict(column.keys) for column in macs if column.keys},
        "in_use": sorted(in_use),
        "may_leave": [key for key in settings.KEYRING if not closed and key not in needed and key != keyring.first_key_id()],
    }


def in_words(told: dict[str, Any]) -> str:
    """The report for people."""
    lines = []
    for place, column in told["sealed"].items():
        keys = ", ".join(f"{count} with {key or 'no key id'}" for key, count in column["keys"].items()) or "nothing sealed"
        lines.append(f"{place}: {column['resealed']} resealed; now {keys}")
        lines += [f"  does not open: row {row}" for row in column["closed_rows"]]
        if more := column["closed"] - len(column["closed_rows"]):
            lines.append(f"  and {more} more")
    for place, keys in told["old_macs"].items():
        counts = ", ".join(f"{count} under {key}" for key, count in keys.items())
        lines.append(f"{place}: MACs of an earlier version, {counts}: verifying them needs that key in the ring")
    if told["may_leave"]:
        lines.append(f"No longer needed in MFA_SITE_KEYS: {', '.join(told['may_leave'])}")
    return "\n".join(lines)
