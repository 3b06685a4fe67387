"""Mails about what happened to an account: found in the audit, claimed, sent, tried again.

A `Notice` says that a mail is due, never what it says. Two workers never send one twice; one that is killed between the
claim and the answer of the mail server leaves the notice to be sent (perhaps again) when the claim is over.
"""

import time
from datetime import datetime, timedelta
from smtplib import SMTPDataError, SMTPRecipientsRefused

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from accounts import forgotten, mails
from accounts.models import Notice, User
from audit import ids
from audit.events import record
from audit.models import Event
from mfa_site.client import HERE

FORGOTTEN = "password_forgotten"
LOOK_BACK = timedelta(days=1)  # a worker that starts tells of what happened since
WORTH = {FORGOTTEN: timedelta(hours=1)}  # how long after the event a mail is still of use; else a day
# How many in which time, per person and device: what a stranger can cause fills no mailbox. Of the links the last one lives
# as long as no other is sent.
MOST = {"device_paused": (1, timedelta(hours=1)), FORGOTTEN: (3, forgotten.LIFE)}
PATIENCE = 1.0  # seconds to wait for events that are being written
AT_ONCE, AT_LONGEST = 20, 10.0  # mails, and seconds, before the other chores have their turn
CLAIM = timedelta(minutes=3)  # longer than a slow mail server can take, at ten seconds a word
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)  # between attempts; doubling

TELLS = Q(act__in=[FORGOTTEN, *(act for act in mails.TOLD if act != "signed_in")]) | Q(act="signed_in", about__known=False)

# Up to which event this process has looked. Only to spare the work: `Notice.event` is unique.
_looked = 0


def forget() -> None:
    """The next look goes back a day again."""
    global _looked
    _looked = 0


def send_due(now: datetime) -> int:
    """What happened and is worth a mail has a notice, and those that are due were tried; how many were sent.

    Raises what the mail server's absence raises, after the notice was put off.
    """
    if not settings.HAS_MAIL:
        return 0
    find(now)
    sent, end = 0, time.monotonic() + AT_LONGEST
    for row in list(Notice.objects.filter(sent_at=None, gave_up_at=None, due_at__lte=now).order_by("due_at")[:AT_ONCE]):
        if time.monotonic() > end:
            break
        sent += claim(row, now) and deliver(row, now)
    return sent


def find(now: datetime) -> None:
    """Every event since the last look that somebody is told of has its notice; none that commits late is passed over."""
    global _looked
    highest = ids.settled(PATIENCE)
    if highest is None or highest == _looked:
        return
    # After a restart by time, later by id: each has its index. A database that was set back begins anew.
    newer = Q(id__gt=_looked) if 0 < _looked < highest else Q(at__gt=now - LOOK_BACK)
    told = Notice.objects.filter(event=OuterRef("uuid"))
    events = Event.objects.filter(TELLS, newer, ~Exists(told), id__lte=highest).order_by()
    for event in sorted(events.defer("personal"), key=lambda event: event.id):
        if event.person and now - event.at < worth(event.act) and is_news(event):
            row = Notice(event=event.uuid, act=event.act, person=event.person, due_at=now)
            Notice.objects.bulk_create([row], ignore_conflicts=True)
    _looked = highest


def worth(act: str) -> timedelta:
    """For how long a mail about it is of use."""
    return WORTH.get(act, LOOK_BACK)


def is_news(event: Event) -> bool:
    """Whether a mail about it tells the person something that many before it did not."""
    return is_new_place(event) if event.act == "signed_in" else not too_many(event)


def is_new_place(event: Event) -> bool:
    """Whether the person signed in before, but never with this program from this address: a script keeps no cookie."""
    before = Event.objects.filter(act="signed_in", person=event.person, id__lt=event.id)
    place = event.personal or {}
    alike = before.filter(personal__address=place.get("address"), personal__user_agent=place.get("user_agent"))
    return before.exists() and not alike.exists()


def too_many(event: Event) -> bool:
    """Whether the person was told of as many of these, about this device, in the time before."""
    if event.act not in MOST:
        return False
    most, within = MOST[event.act]
    earlier = Q(at__gt=event.at - within, id__lt=event.id)
    before = Event.objects.filter(earlier, act=event.act, person=event.person, device=event.device).values("uuid")
    return Notice.objects.filter(event__in=before).count() >= most


def claim(row: Notice, now: datetime) -> bool:
    """This worker alone tries it now; False if another does or did."""
    mine = Notice.objects.filter(pk=row.pk, attempts=row.attempts, sent_at=None, gave_up_at=None)
    row.attempts += 1
    return mine.update(attempts=F("attempts") + 1, due_at=now + CLAIM) == 1


def deliver(row: Notice, now: datetime) -> bool:
    """The claimed notice was sent, put off, given up, or there was nobody to send it to; True if it was sent."""
    event = Event.objects.filter(uuid=row.event).first()
    person = User.objects.filter(uuid=row.person).exclude(email="").first()
    if event is None or person is None:
        return settle(row, gave_up_at=now)
    if now - event.at >= worth(row.act):
        return give_up(row, "TOO_LATE", now)
    try:
        mail = write(event, person, now)
        if mail is None:
            return settle(row, gave_up_at=now)
        mail.send()
    except (SMTPRecipientsRefused, SMTPDataError) as error:
        return give_up(row, "REFUSED", now) if is_final(error) else put_off(row, event, now)
    except ValueError:  # an address that no mail can be sent to
        return give_up(row, "BAD_ADDRESS", now)
    except OSError:
        put_off(row, event, now)
        raise
    settle(row, sent_at=now)
    return True


def write(event: Event, person: User, now: datetime) -> EmailMessage | None:
    """The mail about the event, with a code made for it now where it takes one; None where this person gets none."""
    if event.act != FORGOTTEN:
        return mails.notice(event, person)
    code = forgotten.new_code(person, now)
    return mails.reset(event, person, code, forgotten.LIFE) if code else None


def is_final(error: SMTPRecipientsRefused | SMTPDataError) -> bool:
    """Whether the mail server will never take it (RFC 5321 4.2.1: 5yz)."""
    if isinstance(error, SMTPDataError):
        return error.smtp_code >= 500
    return all(code >= 500 for code, _why in error.recipients.values())


def put_off(row: Notice, event: Event, now: datetime) -> bool:
    """It is due again after a pause, longer each time, or given up when it would be of no use any more."""
    due_at = now + min(FIRST_PAUSE * 2 ** min(row.attempts - 1, 10), LONGEST_PAUSE)
    if due_at - event.at >= worth(row.act):
        return give_up(row, "NOT_SENT", now)
    return settle(row, due_at=due_at)


def give_up(row: Notice, reason: str, now: datetime) -> bool:
    """It is tried no more, and the audit says so."""
    with transaction.atomic():
        settle(row, gave_up_at=now)
        record("notice_given_up", client=HERE, person=row.person, reason=reason, notice=row.act, event=str(row.event))
    return False


def settle(row: Notice, **columns: datetime) -> bool:
    """What became of the attempt is in the row. Always False."""
    Notice.objects.filter(pk=row.pk, sent_at=None, gave_up_at=None).update(**columns)
    return False
