"""The sentence a person reads for each refusal: what happened and what to do, giving nothing away."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from mfa_site.errors import Reason, Refused


def sentence(refused: Refused) -> str:
    """The words for this refusal."""
    facts = refused.facts
    device = facts.get("device") or _("Your device")
    match refused.reason:
        case Reason.BAD_CREDENTIALS:
            return _("That name and password do not go together. Check both and try again.")
        case Reason.SIGN_IN_OVER:
            return _("This sign-in is over. Start again with your password.")
        case Reason.ANSWER_USED:
            return _("This code was already used. Wait for the next one on “%(device)s”.") % {"device": device}
        case Reason.CODE_NOT_DIGITS:
            return _("Use only the digits shown on “%(device)s”.") % {"device": device}
        case Reason.CODE_LENGTH:
            digits, given = facts["digits"], facts["given"]
            entered = ngettext("You entered %(n)d digit.", "You entered %(n)d digits.", given) % {"n": given}
            return _("The code has %(digits)d digits.") % {"digits": digits} + " " + entered
        case Reason.CODE_LOOKS_LIKE_YUBIKEY:
            return _('That long text came from touching a YubiKey. Choose "Use another way" and your security key instead.')
        case Reason.CODE_WRONG:
            return _(
                "“%(device)s” shows a different code. Codes change every %(seconds)d seconds; enter the one on screen now."
            ) % {"device": device, "seconds": facts["seconds"]}
        case Reason.TOO_MANY_ATTEMPTS if "device" in facts:
            wait = duration(refused.retry_after or 1)
            return _("Too many tries with “%(device)s”. It works again in %(wait)s.") % {"device": device, "wait": wait}
        case Reason.TOO_MANY_ATTEMPTS:
            return _("Too many tries. Wait a few minutes and try again.")
        case Reason.DEVICE_NOT_USABLE:
            return _("“%(device)s” cannot be used now. Use another way, or ask your administrator.") % {"device": device}
        case Reason.NO_CHALLENGE | Reason.ASSERTION_CHALLENGE:
            return _("That took too long, or another tab was faster. Try once more.")
        case Reason.CREDENTIAL_UNKNOWN:
            return _("That was another key than the one chosen here. Use another way if you want to use it.")
        case Reason.CREDENTIAL_TAKEN:
            return _("This key is already registered.")
        case Reason.CREDENTIAL_ALGORITHM | Reason.CREDENTIAL_KEY:
            return _("This key is of a make that this site cannot use. Try another key.")
        case Reason.ASSERTION_COUNTER | Reason.ASSERTION_BACKUP_CHANGED:
            return _("This key did not answer the way it used to, so it was suspended. Ask your administrator about it.")
        case Reason.ASSERTION_NOT_VERIFIED:
            return _("This site asks for the PIN or finger of your key. Set a PIN in the key's settings first, then try again.")
        case Reason.LAST_DEVICE:
            return _("Add another way to sign in before you remove this one.")
        case Reason.TOO_MANY_DEVICES:
            return _("You have as many devices as one person can have. Remove one first.")
        case Reason.MALFORMED:
            return _("That was not complete. Check it and try again.")
        case _other:
            return _("The answer from “%(device)s” was not right. Try again, or use another way.") % {"device": device}


def duration(seconds: int) -> str:
    """Seconds or minutes, rounded up, in words."""
    if seconds < 60:
        return ngettext("%(n)d second", "%(n)d seconds", seconds) % {"n": seconds}
    minutes = -(-seconds // 60)
    return ngettext("%(n)d minute", "%(n)d minutes", minutes) % {"n": minutes}


TRANSPORTS = {
    "usb": "USB",
    "nfc": "NFC",
    "ble": "Bluetooth",
    "smart-card": gettext_lazy("smart card"),
    "hybrid": gettext_lazy("phone"),
    "cable": gettext_lazy("phone"),
    "internal": gettext_lazy("this device"),
}
