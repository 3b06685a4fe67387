"""A real SMTP server that keeps what it receives, and refuses what it is told to."""

import email
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller

from tests.cluster import free_port


class PostOffice:
    """`mails` came in; `refuse_recipient` and `refuse_data` are answers given instead of taking one."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuse_recipient = self.refuse_data = ""
        self.port = free_port()
        self.running: Controller | None = None

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self.refuse_recipient:
            return self.refuse_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refuse_data:
            return self.refuse_data
        parsed = email.message_from_bytes(envelope.original_content, policy=default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        return "250 OK"

    def open(self) -> None:
        """It answers."""
        self.running = Controller(self, hostname="127.0.0.1", port=self.port)
        self.running.start()

    def close(self) -> None:
        """It does not answer any more."""
        if self.running:
            self.running.stop()
        self.running = None

    @property
    def texts(self) -> list[str]:
        """What the mails say."""
        return [str(mail.get_content()).replace("\r\n", "\n") for mail in self.mails]

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


@contextmanager
def post_office(settings: Any) -> Iterator[PostOffice]:
    """The service sends its mail there."""
    office = PostOffice()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT, settings.HAS_MAIL = "127.0.0.1", office.port, 5, True
    office.open()
    try:
        yield office
    finally:
        office.close()
