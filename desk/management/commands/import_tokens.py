"""`manage.py import_tokens`: hardware tokens from the factory's seed file."""

import json
import sys
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from audit.events import OPERATOR
from desk import importing
from devices import seed_files, stock
from devices.judging import Existing
from devices.seed_files import BadFile, BadRow, Secret
from mfa_site.client import HERE

SECRETS = ("key_file", "passphrase_file", "private_key_file")
LONGEST_SECRET = 2**16  # bytes


class Command(BaseCommand):
    """Imports a whole file or nothing of it."""

    help = (
        "Import hardware tokens from a seed file, all of it or nothing. "
        "Example: manage.py import_tokens tokens.xml --key-file transport.key --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--format", choices=list(seed_files.FORMATS), help="without it, what the file begins with tells")
        secret = parser.add_mutually_exclusive_group()
        secret.add_argument("--key-file", metavar="F", help="pre-shared AES key in hexadecimal; - for standard input")
        secret.add_argument("--passphrase-file", metavar="F", help="passphrase in one line; - for standard input")
        secret.add_argument("--private-key-file", metavar="F", help="RSA private key in PEM; - for standard input")
        parser.add_argument(
            "--existing",
            choices=list(Existing),
            default=Existing.REFUSE,
            help="where a serial is known: refuse the file, skip the row, or replace the token if it is in stock",
        )
        parser.add_argument("--dry-run", action="store_true", help="judge everything and change nothing")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        secret = secret_from(options)
        try:
            file = Path(options["file"]).open("rb")  # noqa: SIM115  # closed below
            file.seek(0)
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}.", returncode=2) from None
        with file:
            try:
                report = imported(file, secret, options)
            except BadFile as bad:
                self.fail(options, [BadRow(bad.number, "", bad.reason)])
        if report.refused:
            self.fail(options, report.refused)
        if options["json"]:
            found = {"batch": str(report.batch), "format": report.file_format, "sha256": report.digest}
            counts = {"accepted": report.accepted, "skipped": report.skipped, "replaced": report.replaced, "refused": []}
            self.stdout.write(json.dumps({**found, "dry_run": options["dry_run"], **counts}))
        elif options["dry_run"]:
            self.stdout.write(f"{report.accepted} tokens could be imported{told_of(report)}. Nothing was changed.")
        else:
            self.stdout.write(f"{report.accepted} tokens imported, batch {report.batch}{told_of(report)}.")

    def fail(self, options: dict[str, Any], refused: list[BadRow]) -> None:
        """Every refused row is named, and the exit code is 1."""
        if options["json"]:
            told = [
                {"row": row.number, "serial": row.serial, "reason": row.reason.name.lower(), "detail": str(row.reason.sentence)}
                for row in refused
            ]
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "accepted": 0, "refused": told}))
        else:
            for row in refused:
                place = " ".join(
                    filter(None, [f"Row {row.number}" if row.number else "File", row.serial and f"({row.serial})"])
                )
                self.stderr.write(f"{place}: {row.reason.sentence}")
        rows = "The file was" if refused[0].number == 0 else f"{len(refused)} rows were" if len(refused) > 1 else "1 row was"
        raise CommandError(f"{rows} refused; nothing was kept.")


def told_of(report: stock.Report) -> str:
    """How many serials were known, if any was."""
    told = [
        f"{report.replaced} in place of others" if report.replaced else "",
        f"{report.skipped} skipped" if report.skipped else "",
    ]
    return f" ({', '.join(filter(None, told))})" if any(told) else ""


def imported(file: BinaryIO, secret: Secret, options: dict[str, Any]) -> stock.Report:
    """What became of the file, with a bar on a terminal meanwhile; BadFile."""
    dry_run, now = options["dry_run"], timezone.now()
    found = options["format"] or seed_files.detect(file.read(seed_files.HEAD))
    total = file.seek(0, 2) * (1 if dry_run else 2)
    with tqdm(total=total, unit="B", unit_scale=True, disable=not sys.stderr.isatty(), file=sys.stderr) as bar:
        return stock.import_file(
            file,
            found,
            secret,
            importing.terms(None, Existing(options["existing"]), HERE, now, importing.noted(options["file"], OPERATOR, now)),
            dry_run=dry_run,
            batch=uuid4(),
            progress=lambda position: bar.update(position - bar.n),
        )


def secret_from(options: dict[str, Any]) -> Secret:
    """What the file named for it has; CommandError if it cannot be read. It never comes from the command line."""
    name = next((name for name in SECRETS if options[name]), None)
    if name is None:
        return Secret()
    try:
        raw = (
            sys.stdin.buffer.read(LONGEST_SECRET) if options[name] == "-" else Path(options[name]).read_bytes()[:LONGEST_SECRET]
        )
        if name == "private_key_file":
            return Secret(private_key=raw)
        text = raw.decode()
    except OSError as error:
        raise CommandError(f"The key file cannot be read: {error.strerror}.", returncode=2) from None
    except UnicodeDecodeError:
        raise CommandError("The key file is not text.", returncode=2) from None
    return (
        Secret(key="".join(text.split()))
        if name == "key_file"
        else Secret(passphrase=text.removesuffix("\n").removesuffix("\r"))
    )
