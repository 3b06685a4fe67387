"""Who takes a text message from us: a module for each way, chosen by the scheme of `MFA_SITE_SMS_URL`.

`send(address, text, ref)` returns when the message was taken, and otherwise raises NotSent (it certainly did not go out) or
MaybeSent (nobody knows). `ref` names the message, so that a gateway can tell a second delivery of the same one.
"""

from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from django.conf import settings


class NotSent(Exception):
    """The message certainly did not go out; `again`: whether another try makes sense. The text says why, without any of it."""

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


class MaybeSent(Exception):
    """The connection ended after the message had been handed over: it may arrive."""


Send = Callable[[SplitResult, str, str, str], None]


def send(address: str, text: str, ref: str) -> None:
    """The gateway of the settings has taken the message."""
    from devices.senders import console, http, twilio  # they import the names above

    ways: dict[str, Send] = {
        "console": console.send,
        "http": http.send,
        "https": http.send,
        "twilio": twilio.send,
    }
    url = urlsplit(settings.SMS_URL)
    ways[url.scheme](url, address, text, ref)
