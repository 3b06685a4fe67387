"""The words of the mails, written from the event when it is sent, and sending them. Nothing of a mail is stored."""

from datetime import timedelta
from email.utils import make_msgid

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.user_agents import in_our_words
from audit.models import Event
from devices import kinds
from devices.models import Device

# act -> (subject, what happened); each is about an account that stays safe if its owner hears of it.
TOLD = {
    "device_enrolled": (gettext_lazy("a device was added"), gettext_lazy("%(device)s was added to your account.")),
    "device_removed": (gettext_lazy("a device was removed"), gettext_lazy("%(device)s was removed from your account.")),
    "device_lost": (
        gettext_lazy("a device was reported lost"),
        gettext_lazy("%(device)s was reported lost. It cannot be used any more, and what it had opened was signed out."),
    ),
    "device_suspended": (
        gettext_lazy("a device was suspended"),
        gettext_lazy("%(device)s was suspended: it answered as a copy of it would. It cannot be used to sign in now."),
    ),
    "device_paused": (
        gettext_lazy("wrong answers for a device"),
        gettext_lazy("%(device)s rests for a while: somebody who knew your password gave five wrong answers or more."),
    ),
    "device_disabled": (
        gettext_lazy("a device was switched off"),
        gettext_lazy("%(device)s was switched off after too many wrong answers by somebody who knew your password."),
    ),
    "recovery_code_used": (
        gettext_lazy("a recovery code was used"),
        gettext_lazy("One of your recovery codes was used to sign in. Cross it out. If you lost a device, add another one."),
    ),
    "recovery_codes_made": (
        gettext_lazy("new recovery codes were made"),
        gettext_lazy(
            "New recovery codes were made for your account. Codes from before, if there were any, do not work any more."
        ),
    ),
    "temporary_code_issued": (
        gettext_lazy("a temporary code was issued"),
        gettext_lazy("An administrator issued a temporary code with which your account can be opened without your devices."),
    ),
    "temporary_code_used": (
        gettext_lazy("a temporary code was used"),
        gettext_lazy("A temporary code was used to sign in to your account. Add a device, so that you need no other one."),
    ),
    "device_handed_out": (
        gettext_lazy("a token was handed out to you"),
        gettext_lazy("%(device)s was handed out to you: you can sign in with it from now on."),
    ),
    "device_taken_back": (
        gettext_lazy("a token was taken back"),
        gettext_lazy("A token of yours was taken back by an administrator. It cannot be used to sign in any more."),
    ),
    "device_resynced": (
        gettext_lazy("a device was lined up"),
        gettext_lazy("%(device)s was lined up again with two of its codes."),
    ),
    "first_enrolment_renewed": (
        gettext_lazy("a first device may be added"),
        gettext_lazy("An administrator gave more time to add a first device to your account, with your password alone."),
    ),
    "roles_changed": (
        gettext_lazy("your roles were changed"),
        gettext_lazy("Your roles as an administrator were changed, and every session of yours was ended."),
    ),
    "password_changed": (gettext_lazy("your password was changed"), gettext_lazy("The password of your account was changed.")),
    "password_reset": (
        gettext_lazy("your password was changed"),
        gettext_lazy("The password of your account was changed with a link from a mail, and every session was signed out."),
    ),
    "signed_in": (
        gettext_lazy("a sign-in from a new browser"),
        gettext_lazy("Somebody signed in to your account from a browser that had not been used for it before."),
    ),
}

BY_OTHERS = (  # never done by oneself
    *("temporary_code_issued", "device_handed_out", "device_taken_back"),
    *("first_enrolment_renewed", "roles_changed"),
)


def notice(event: Event, person: User) -> EmailMessage:
    """The mail that tells the person of the event: what, when, where, and what to do if it was somebody else."""
    subject, happened = TOLD[event.act]
    account, forgotten = settings.BASE_URL + reverse("account"), settings.BASE_URL + reverse("password-forgotten")
    paragraphs = [
        _("Hello %(name)s,") % {"name": one_line(person.get_full_name())},
        str(happened) % {"device": device_of(event)},
        circumstances(event),
        _("If you know of it, there is nothing to do.")
        if event.act in BY_OTHERS
        else _("If this was you, there is nothing to do."),
        _(
            "If it was not, sign in at %(account)s, remove what is not yours and change your password. If you cannot get "
            "in, take a new password at %(forgotten)s and tell your administrator."
        )
        % {"account": account, "forgotten": forgotten},
    ]
    # One event, one Message-ID: if a notice has to be sent twice, mailboxes may take the second for the first.
    return _mail(person, str(subject), paragraphs, f"<{event.uuid}@{_domain()}>")


def reset(event: Event, person: User, code: str, life: timedelta) -> EmailMessage:
    """The mail with the link by which the person chooses a new password."""
    paragraphs = [
        _("Hello %(name)s,") % {"name": one_line(person.get_full_name())},
        _("A new password was asked for, for your account %(username)s. To choose one, open this link:")
        % {"username": one_line(person.get_username())},
        settings.BASE_URL + reverse("password-reset", args=[code]),
        _("It works once, for %(minutes)d minutes. You will need one of your devices to sign in afterwards, as always.")
        % {"minutes": life.total_seconds() // 60},
        circumstances(event),
        _("If you did not ask for it, there is nothing to do: without the link nobody can change your password."),
    ]
    return _mail(person, _("choose a new password"), paragraphs, make_msgid(domain=_domain()))


def _mail(person: User, subject: str, paragraphs: list[str], message_id: str) -> EmailMessage:
    site = one_line(settings.RP_NAME)
    body = "\n\n".join([*paragraphs, f"{site}\n{settings.BASE_URL}"]) + "\n"
    headers = {"Message-ID": message_id, "Auto-Submitted": "auto-generated"}  # RFC 3834: no out-of-office answers
    return EmailMessage(f"{site}: {subject}", body, to=[person.email], headers=headers)


def circumstances(event: Event) -> str:
    """When, from where and with which program; what was erased from the event is not in it."""
    when = date_format(timezone.localtime(event.at), "j F Y, H:i") + " " + timezone.get_current_timezone_name()
    lines = [_("When: %(when)s") % {"when": when}]
    if event.personal:
        if address := event.personal.get("address"):
            lines.append(_("From: %(address)s") % {"address": one_line(address)})
        lines.append(_("With: %(program)s") % {"program": in_our_words(event.personal.get("user_agent", ""))})
    return "\n".join(lines)


def device_of(event: Event) -> str:
    """“Name” (kind); "A device" where there is none. A token that went back to the stock has its serial for a name: by now it
    may be somebody else's, and called as they like."""
    found = Device.objects.filter(uuid=event.device).only("name", "kind", "serial", "user__uuid").select_related("user")
    row = found.first() if event.device else None
    if row is None:
        return _("A device")
    name = row.name if row.user and row.user.uuid == event.person else row.serial
    return f"“{one_line(name)}” ({kinds.title(row)})"


def one_line(text: str) -> str:
    """The text as part of one line, whatever was in it."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _domain() -> str:
    return settings.DEFAULT_FROM_EMAIL.rpartition("@")[2]
