"""Codes by e-mail, through the mail server of the settings."""

import contextlib
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused, SMTPServerDisconnected

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.utils.translation import gettext as _

from devices.senders import MaybeSent, NotSent


def send(address: str, text: str, ref: str) -> None:
    """The mail server has taken it; else NotSent or MaybeSent. The code stands in no subject: phones show those when locked."""
    subject = _("%(site)s: your code") % {"site": " ".join(settings.RP_NAME.split())}
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2]
    headers = {"Message-ID": f"<{ref}@{domain}>", "Auto-Submitted": "auto-generated"}  # RFC 3834: no out-of-office answers
    connection = get_connection()
    try:
        connection.open()
    except (SMTPException, OSError) as error:  # no greeting, no TLS, no login: nothing has been handed over
        raise NotSent(type(error).__name__, again=True) from None
    try:
        EmailMessage(subject, text, to=[address], headers=headers, connection=connection).send()
    except SMTPRecipientsRefused as error:
        raise NotSent("refused", again=all(code < 500 for code, _why in error.recipients.values())) from None
    except SMTPDataError as error:
        raise NotSent("refused", again=error.smtp_code < 500) from None
    except (SMTPServerDisconnected, TimeoutError) as error:
        raise MaybeSent(type(error).__name__) from None
    except (SMTPException, OSError) as error:
        raise NotSent(type(error).__name__, again=True) from None
    finally:
        with contextlib.suppress(SMTPException, OSError):  # what it says to a goodbye changes nothing
            connection.close()
