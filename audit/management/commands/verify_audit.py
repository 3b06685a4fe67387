"""`manage.py verify_audit`: whether the audit is what the service wrote."""

import json
import re
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import export, seals
from audit.gaps import NoGap, acknowledge
from audit.verify import Report, verify
from mfa_site import keyring
from mfa_site.client import Client

RANGE = re.compile(r"\A([0-9]{1,18})(?:-([0-9]{1,18}))?\Z")


class Command(BaseCommand):
    """Checks every event, every seal and every gap; one line for each finding, exit 1 if there is one."""

    help = (
        "Check that no audit event was changed, removed, moved or cut off; exit 0 if so, 1 with a line for each finding. "
        "Example: manage.py verify_audit --head HASH"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--head", default="", help="the last head that was logged: without it a cut-off end of seals shows less"
        )
        parser.add_argument("--json", action="store_true", help="print what was seen as JSON")
        parser.add_argument(
            "--public-key", action="store_true", help="print the key that seals and exports are verified with, as PEM, and end"
        )
        parser.add_argument(
            "--acknowledge",
            metavar="ID",
            help="an event (or FIRST-LAST) is missing and the log has no line of it: write that down",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["acknowledge"] is not None:
            self.acknowledge(options["acknowledge"])
        try:
            public = seals.signing_key().public_key()
            if options["public_key"]:
                self.stdout.write(export.pem(public), ending="")
                return
            keyring.mac(b"", "audit-event")
        except keyring.CannotOpen as error:
            raise CommandError(f"A key of the audit cannot be opened: {error}.") from None
        report = verify(public, options["head"])
        text = as_json if options["json"] else as_text
        self.stdout.write(text(report, seals.public_text(public)))
        if report.findings:
            raise SystemExit(1)

    def acknowledge(self, given: str) -> None:
        """The gap is acknowledged by an event of its own."""
        if not (match := RANGE.match(given)):
            raise CommandError("--acknowledge takes the id of an event, or FIRST-LAST.", returncode=2)
        first = int(match[1])
        try:
            acknowledge(first, int(match[2] or first), Client("", "manage.py verify_audit", uuid4().hex))
        except NoGap:
            raise CommandError(f"{given} is no gap that can be acknowledged.") from None


def as_text(report: Report, public: str) -> str:
    """A line for each finding, then what was checked."""
    lines = [str(finding) for finding in report.findings]
    lines += [f"acknowledged: event {first}-{last} is not there" for first, last in report.acknowledged]
    lines.append(
        f"{report.events} events ({report.unsealed} not sealed yet, {report.erased} without their personal data), "
        f"{report.seals} seals, head {report.head or 'none'}, key {public}: "
        + (f"{len(report.findings)} findings" if report.findings else "genuine")
    )
    return "\n".join(lines)


def as_json(report: Report, public: str) -> str:
    """The report, `genuine`, and for each finding its sentence too."""
    findings = [{**asdict(finding), "sentence": str(finding)} for finding in report.findings]
    return json.dumps({**asdict(report), "genuine": not findings, "findings": findings, "key": public}, indent=1)
