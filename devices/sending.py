"""Codes on their way to people: numbered, budgeted and queued in one transaction, made and handed to a gateway by the worker.

The queue carries device and number. The text is made when it is sent, and stored nowhere.
"""

import logging
import math
import time
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _
from django_tasks import task

from audit.events import OPERATOR, record
from devices import addresses, oath, senders
from devices.lifecycle import State
from devices.models import Device, Kind
from devices.senders import MaybeSent, NotSent, mail
from mfa_site import limits
from mfa_site.client import HERE
from mfa_site.errors import Reason, Refused

log = logging.getLogger(__name__)

COOLDOWN = timedelta(seconds=60)  # OWASP's cheat sheet; most messages are there by then
IN_A_CEREMONY, CEREMONY = 3, timedelta(minutes=10)  # a fourth would not arrive either; a ceremony lives no longer
BY_PERSON = 10  # a day; who signs in more often wants an app
BY_NUMBER = 5  # people a day to one number: a family's phone, not a pump for somebody's premium line
DAY = timedelta(days=1)
LIFE = timedelta(minutes=5)  # of a code: what leaves the queue later than that is of no use any more
AGAIN = 2.0  # seconds before the second and last try
LONGEST_SMS = 160  # characters of the GSM alphabet in one message; with any other in it a message holds 70
GSM = frozenset(  # 3GPP TS 23.038 6.2.1, what takes one place of it
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)


def send(device: Device, ceremony: UUID, person: UUID, now: datetime) -> int:
    """The next code of the device is on its way: its number.

    Refused TOO_MANY_ATTEMPTS within a minute of the one before, and over a budget; UNAVAILABLE where there is no sender;
    NOT_FOUND for an enrolment that was forgotten meanwhile.
    """
    if device.kind in settings.KINDS_OFF:
        raise Refused(Reason.UNAVAILABLE)
    with transaction.atomic():
        free = Q(sent_at=None) | Q(sent_at__lte=now - COOLDOWN)
        taken = Device.objects.filter(free, pk=device.pk).update(
            sent=F("sent") + 1, sent_at=now, sent_for=ceremony, unsent=None
        )
        if not (taken or Device.objects.filter(pk=device.pk).exists()):
            raise Refused(Reason.NOT_FOUND)
        device.refresh_from_db(fields=["sent", "sent_at", "unsent"])  # if taken, nobody else changes it before this ends
        if not taken:
            left = device.sent_at + COOLDOWN - now if device.sent_at else timedelta(seconds=1)  # free again by now
            raise Refused(Reason.TOO_MANY_ATTEMPTS, retry_after=max(1, math.ceil(left.total_seconds())), resend=True)
        _within_budgets(device, ceremony, person, now)
        deliver.enqueue(str(device.uuid), device.sent, (now + LIFE).timestamp())
    return device.sent


def _within_budgets(device: Device, ceremony: UUID, person: UUID, now: datetime) -> None:
    who = str(person)
    limits.hit("codes-in-ceremony", str(ceremony), IN_A_CEREMONY, CEREMONY, now)
    limits.hit(f"{device.kind}-by-person", who, BY_PERSON, DAY, now)
    number = device.address.lower()
    if limits.hit(f"{device.kind}-person-number", f"{who} {number}", BY_PERSON, DAY, now) == 1:
        try:
            limits.hit(f"{device.kind}-by-number", number, BY_NUMBER, DAY, now)
        except Refused:
            limits.give_back(f"{device.kind}-person-number", f"{who} {number}", now)  # or the next try would pass as counted
            raise
    if device.kind == Kind.SMS:
        limits.hit("sms-by-country", addresses.country_code(device.address), settings.SMS_PER_COUNTRY, DAY, now)
        limits.hit("sms-in-all", "", settings.SMS_PER_DAY, DAY, now)


@task()
def deliver(device: str, number: int, until: float) -> str:
    """The code of this number was handed to the gateway, or the device says that it was not; what became of it, in a word.

    Nothing is done for a code that another has replaced or whose time is over.
    """
    there = Device.objects.select_related("user").filter(state__in=(State.ACTIVE, State.ASSIGNED)).exclude(secret="")
    row: Device | None = there.filter(uuid=device, sent=number).first()
    if row is None or time.time() > until:
        return "too late"
    if row.kind in settings.KINDS_OFF:  # since it was asked for
        return _give_up(row, number, "OFF")
    try:
        return _hand_over(row, number)
    except Exception as error:  # whatever it says, none of it may reach the queue's table: it could hold the message
        log.error("a code was not sent: %s", type(error).__name__)
        return _give_up(row, number, "FAULT")


def _hand_over(row: Device, number: int, *, again: bool = True) -> str:
    send_it = mail.send if row.kind == Kind.EMAIL else senders.send
    try:
        send_it(row.address, text_of(row, number), f"{row.uuid}.{number}")
    except MaybeSent as error:
        log.warning("a code may not have been sent: %s", error)
        return "perhaps"
    except NotSent as error:
        log.warning("a code was not sent: %s", error)
        if not (again and error.again):
            return _give_up(row, number, "NOT_SENT")
        time.sleep(AGAIN)
        return _hand_over(row, number, again=False)
    return "sent"


def _give_up(row: Device, number: int, why: str) -> str:
    """The device says that this code did not go out, if it is still the last one; another may be asked for at once."""
    with transaction.atomic():
        if Device.objects.filter(pk=row.pk, sent=number).update(unsent=number, sent_at=None):
            person = row.user.uuid if row.user else None
            record("code_not_sent", client=HERE, actor=OPERATOR, person=person, device=row.uuid, reason=why, kind=row.kind)
    return "not sent"


def text_of(device: Device, number: int) -> str:
    """The message with the code of this number; of an SMS the last line is for the browser that waits for it (WebOTP)."""
    code, site = oath.at(device, number), " ".join(settings.RP_NAME.split())
    if device.kind == Kind.EMAIL:
        facts = {"site": site, "code": code, "url": settings.BASE_URL}
        said = _("Your code for %(site)s is %(code)s. It works for five minutes, on the page that you opened at %(url)s.")
        return f"{said % facts}\n\n" + _("If you are not signing in, somebody knows your password: change it.") + "\n"
    host = urlsplit(settings.BASE_URL).hostname or ""
    last = f"\n\n@{host} #{code}"
    site = site if GSM.issuperset(site) else host  # a foreign letter would make three messages of one
    said = _("%(code)s is your code for %(site)s. Give it to nobody.")
    room = LONGEST_SMS - len(last) - len(said % {"code": code, "site": ""})
    return said % {"code": code, "site": site[: max(room, 0)]} + last
