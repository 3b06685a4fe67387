"""Messages on the terminal, for trying the service out."""

import sys
from urllib.parse import SplitResult


def send(url: SplitResult, address: str, text: str, ref: str) -> None:
    """The message is on the standard output."""
    sys.stdout.write(f"\n  SMS to {address}\n" + "".join(f"  | {line}\n" for line in text.splitlines()) + "\n")
    sys.stdout.flush()
