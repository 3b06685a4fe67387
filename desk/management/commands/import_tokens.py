"""`manage.py import_tokens`: a seed file into the stock."""

import functools
import json
import sys
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from accounts.models import User
from devices import seed_files
from devices.seed_files.rows import BadFile, Secret, Why
from devices.stock import Report, import_file

KEY_BYTES = (16, 24, 32)


class Command(BaseCommand):
    """Imports all of a file or nothing of it, and says why. Exit 1: refused, nothing kept; 2: wrong usage."""

    help = (
        "Import a seed file of hardware tokens: OATH CSV, PSKC, Yubico CSV, Entra CSV or otpauth URIs. "
        "Example: manage.py import_tokens tokens.xml --key-file transport_key --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--format", choices=seed_files.FORMATS, help="where it is not recognised")
        secrets = parser.add_mutually_exclusive_group()
        secrets.add_argument("--key-file", help="the pre-shared key: hex digits in a file, or - for standard input")
        secrets.add_argument("--passphrase-file", help="the passphrase: one line in a file, or - for standard input")
        secrets.add_argument("--private-key-file", help="the private key of the certificate, in PEM without a passphrase")
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be imported and refused")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        secret = secret_of(options)
        try:
            with Path(options["file"]).open("rb") as file:
                report = self.report(file, secret, options)
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}.", returncode=2) from None
        except BadFile as refused:
            if options["json"]:
                self.stdout.write(json.dumps({"batch": None, "accepted": 0, "refused": [], "error": str(refused.why.sentence)}))
            raise CommandError(str(refused.why.sentence)) from None
        self.tell(report, options)
        if report.refused:
            raise CommandError(f"{len(report.refused)} rows are refused; nothing was kept.")

    def report(self, file: BinaryIO, secret: Secret, options: dict[str, Any]) -> Report:
        """What became of the file, with a bar on a terminal meanwhile."""
        size = file.seek(0, 2)
        if size > seed_files.LONGEST_FILE:
            raise BadFile(Why.TOO_LARGE)
        file.seek(0)
        format = options["format"] or seed_files.detect(file.read(seed_files.HEAD))
        with tqdm(total=size, unit="B", unit_scale=True, disable=not sys.stderr.isatty(), leave=False) as bar:

            def progress(count: int) -> None:
                if count % 100 == 0:
                    bar.set_postfix_str(f"{count} tokens", refresh=False)
                    bar.update(file.tell() - bar.n)

            dry_run, now = options["dry_run"], timezone.now()
            return import_file(file, format, secret, owner_of=owner_of(), now=now, dry_run=dry_run, progress=progress)

    def tell(self, report: Report, options: dict[str, Any]) -> None:
        """Every refused row and why, and how many there are; nothing of a seed."""
        refused = [{"row": row.number, "serial": row.serial, "reason": str(row.why.sentence)} for row in report.refused]
        kept = not refused and not options["dry_run"]
        if options["json"]:
            batch = str(report.batch) if kept else None
            self.stdout.write(json.dumps({"batch": batch, "accepted": report.accepted, "refused": refused}, indent=1))
            return
        for row in refused:
            self.stdout.write(f"row {row['row']}, serial {row['serial'] or '-'}: {row['reason']}")
        what = "imported" if kept else "good"
        self.stdout.write(f"{report.accepted} tokens are {what} ({report.format}).{' Nothing was kept.' if not kept else ''}")


def secret_of(options: dict[str, Any]) -> Secret:
    """The key from its file; CommandError, without anything of it, for what is none."""
    if path := options["key_file"]:
        try:
            key = bytes.fromhex(text_of(path))
        except ValueError:
            key = b""
        if len(key) not in KEY_BYTES:
            raise CommandError("The key file holds 32, 48 or 64 hex digits.", returncode=2)
        return Secret(key=key)
    if path := options["passphrase_file"]:
        return Secret(passphrase=text_of(path).encode())
    if path := options["private_key_file"]:
        try:
            loaded = load_pem_private_key(text_of(path).encode(), None)
        except (ValueError, TypeError):
            loaded = None
        if not isinstance(loaded, RSAPrivateKey):
            raise CommandError("The private key file holds an RSA key in PEM, without a passphrase.", returncode=2)
        return Secret(private_key=loaded)
    return Secret()


def text_of(path: str) -> str:
    """What the file holds, or standard input, without the end of its line."""
    try:
        return (sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")).rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise CommandError("The file with the key cannot be read.", returncode=2) from None


def owner_of() -> Any:
    """Finds people by name, else by a mail address that only one of them has; remembers whom it has found."""

    @functools.lru_cache(maxsize=100_000)
    def found(name: str) -> int | None:
        person = User.objects.named(name)
        if person is not None:
            return person.pk
        ids = list(User.objects.filter(email__iexact=name).values_list("pk", flat=True)[:2])
        return ids[0] if len(ids) == 1 else None

    return found
