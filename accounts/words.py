"""The sentence a person reads for each refusal: what happened and what to do, giving nothing away."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts import rules
from devices.kinds import Proof
from devices.lifecycle import State
from devices.models import Device
from mfa_site.errors import Reason, Refused

KEY_CHANGED = _("This key did not answer the way it used to, so it was suspended. Ask your administrator about it.")
UNFIT = _("This key is of a make that this site cannot use. Try another key.")
TOO_LATE = _("That took too long, or another tab was faster. Try once more.")
OTHERWISE = _("The answer from “%(device)s” was not right. Try again, or use another way.")

SENTENCES = {
    Reason.BAD_CREDENTIALS: _("That name and password do not go together. Check both and try again."),
    Reason.SIGN_IN_OVER: _("This sign-in is over. Start again with your password."),
    Reason.ANSWER_USED: _("This code was already used. Wait for the next one on “%(device)s”."),
    Reason.RECOVERY_CODE_USED: _("This code was already used. Cross it out and enter another one."),
    Reason.CODE_NOT_OF_SET: _(
        "That is none of your recovery codes. They have 16 letters and digits, in groups of four. "
        "If you made a new set, only its codes count."
    ),
    Reason.CODE_NOT_DIGITS: _("Use only the digits shown on “%(device)s”."),
    Reason.CODE_LOOKS_LIKE_YUBIKEY: _(
        "That long text came from touching a YubiKey, and it is no code of “%(device)s”. If you added the YubiKey as a "
        "security key, choose “Use another way” and then that key."
    ),
    Reason.CODE_WRONG: _(
        "“%(device)s” shows a different code. Codes change every %(seconds)d seconds; enter the one on screen now."
    ),
    Reason.CODE_SENT_WRONG: _("That is not the code that went to %(to)s last. Only the newest one counts."),
    Reason.CODES_NOT_CONSECUTIVE: _(
        "These are not two codes of “%(device)s” that follow each other. Enter one, then the very next that it shows."
    ),
    Reason.CODES_NOT_OF_SERIAL: _(
        "That serial and these codes do not go together. Check the number on the back, and enter two codes that follow each "
        "other."
    ),
    Reason.CODE_NO_YUBICO_OTP: _("That is not what a YubiKey types. Click into the field and touch your YubiKey."),
    Reason.CODE_OTHER_YUBIKEY: _("That was another YubiKey than “%(device)s”. Touch that one, or use another way."),
    Reason.CODE_NOT_TEMPORARY: _("That is not your temporary code. It has 8 letters and digits; the newest one counts."),
    Reason.TEMPORARY_CODE_USED: _("This code was already used. Ask your administrator for another one."),
    Reason.NOT_SENT: _("The code could not be sent. Ask for another one, or use another way."),
    Reason.UNAVAILABLE: _("That cannot be checked now, and nothing was counted. Try again in a moment, or use another way."),
    Reason.TOO_MANY_ATTEMPTS: _("Too many tries. Wait a few minutes and try again."),
    Reason.DEVICE_NOT_USABLE: _("“%(device)s” cannot be used now. Use another way, or ask your administrator."),
    Reason.KIND_BLOCKED_BY_POLICY: _("The policy of your organisation does not allow this: %(kind)s."),
    Reason.KEY_NOT_ATTESTED: _(
        "Your organisation accepts only keys of certain models, and this one did not prove to be one of them. If the browser "
        "asks, allow it to show the make of the key; or use another key."
    ),
    Reason.STRANDED: _("You would have no device left to sign in with. Add one that this policy accepts first."),
    Reason.NO_CHALLENGE: TOO_LATE,
    Reason.ASSERTION_CHALLENGE: TOO_LATE,
    Reason.CREDENTIAL_UNKNOWN: _("That was another key than the one chosen here. Use another way if you want to use it."),
    Reason.CREDENTIAL_TAKEN: _("This key is already registered."),
    Reason.CREDENTIAL_ALGORITHM: UNFIT,
    Reason.CREDENTIAL_KEY: UNFIT,
    Reason.ASSERTION_COUNTER: KEY_CHANGED,
    Reason.ASSERTION_BACKUP_CHANGED: KEY_CHANGED,
    Reason.ASSERTION_NOT_VERIFIED: _(
        "This site asks for the PIN or finger of your key. Set a PIN in the key's settings first, then try again."
    ),
    Reason.LAST_DEVICE: _("Add another way to sign in before you remove this one."),
    Reason.TOO_MANY_DEVICES: _("You have as many devices as one person can have. Remove one first."),
    Reason.MALFORMED: _("That was not complete. Check it and try again."),
}


def sentence(refused: Refused) -> str:
    """The words for this refusal."""
    facts = {"device": gettext("Your device"), "kind": gettext("this kind of device"), **refused.facts}
    if refused.reason is Reason.CODE_LENGTH:
        entered = ngettext("You entered %(given)d digit.", "You entered %(given)d digits.", facts["given"])
        return gettext("The code has %(digits)d digits.") % facts + " " + entered % facts
    if refused.reason is Reason.BLOCKED_BY_POLICY:
        return blocked_by_policy(facts)
    if refused.reason is Reason.CODE_WRONG and facts.get("touch"):
        return gettext("That is not a code of “%(device)s”. Touch it again.") % facts
    if refused.reason is Reason.CODE_WRONG and not facts.get("seconds"):
        return gettext("That is not the next code of “%(device)s”. Press the button once more and enter what it shows.") % facts
    if refused.reason is Reason.CODE_OUT_OF_SYNC:
        return out_of_sync(facts)
    if refused.facts.get("resend"):
        return gettext("A code was sent less than a minute ago. You can ask for another code in %(wait)s.") % {
            "wait": duration(refused.retry_after or 1)
        }
    if refused.reason is Reason.TOO_MANY_ATTEMPTS and facts.get("in_stock"):
        facts["wait"] = duration(refused.retry_after or 1)
        return gettext("Somebody has entered wrong codes for that serial. Try again in %(wait)s.") % facts
    if refused.reason in (Reason.MALFORMED, Reason.WRONG_STATE) and "detail" in refused.facts:
        return str(refused.facts["detail"])
    if refused.reason is Reason.TOO_MANY_ATTEMPTS and "device" in refused.facts:
        facts["wait"] = duration(refused.retry_after or 1)
        return gettext("Too many tries with “%(device)s”. It works again in %(wait)s.") % facts
    if refused.reason is Reason.TOO_MANY_ATTEMPTS and "until" in refused.facts:
        return too_many(refused.retry_after or 1, **refused.facts)
    return str(SENTENCES.get(refused.reason, OTHERWISE)) % facts


def blocked_by_policy(facts: dict[str, Any]) -> str:
    """That the policy does not accept a device, and which of the person's it does accept."""
    said = gettext("Your organisation does not accept “%(device)s” for you any more: it is blocked by policy.") % facts
    if not facts.get("would_do"):
        return said + " " + gettext("Ask your administrator for a temporary code, and add another device with it.")
    names = ", ".join(f"“{name}”" for name in facts["would_do"])
    return said + " " + gettext("Use %(names)s.") % {"names": names}


def out_of_sync(facts: dict[str, Any]) -> str:
    """That a device is out of step, by how much where that is known, and how to line it up."""
    seconds = facts.get("seconds", 0)
    if not seconds:
        pressed = gettext("“%(device)s” was pressed many times since it was last used.") % facts
        return pressed + " " + gettext("Enter two codes in a row to line it up.")
    facts = {**facts, "n": duration(abs(seconds))}
    if seconds > 0:
        said = gettext("The clock of “%(device)s” is about %(n)s ahead.") % facts
    else:
        said = gettext("The clock of “%(device)s” is about %(n)s behind.") % facts
    if facts.get("can_resync"):
        return said + " " + gettext("Enter two codes in a row to line it up.")
    return said + " " + gettext("Let your phone set its clock by itself.")


def state(device: Device, now: datetime) -> str:
    """Whether the device can be used, in a few words."""
    if device.state not in (State.ACTIVE, State.ASSIGNED):
        return str(device.get_state_display())
    if device.is_disabled:
        return gettext("Switched off")
    if device.kind in settings.KINDS_OFF:
        return gettext("Not in use here")
    if getattr(device, "ruled", None) and rules.blocked(device):  # read with the row; one that was not would cost a statement
        return gettext("Blocked by policy")
    if device.is_over(now) or device.uses_left == 0:
        return gettext("Its time is over")
    if device.valid_from and device.valid_from > now:
        return gettext("Not valid yet")
    if device.is_paused(now) and device.paused_until:
        wait = duration(int((device.paused_until - now).total_seconds()) + 1)
        return gettext("Resting for %(wait)s after too many tries") % {"wait": wait}
    return str(device.get_state_display())


def clock_off(device: Device) -> str:
    """How far a hardware token's clock is off, as far as it was learned; empty where it is right."""
    if not device.drift:
        return ""
    facts = {"n": duration(abs(device.drift) * device.period)}
    return (gettext("About %(n)s ahead") if device.drift > 0 else gettext("About %(n)s behind")) % facts


def too_many(seconds: int, until: datetime, known: bool | None = None) -> str:
    """When the wait ends, and for passwords (`known`: whether this browser is) what works meanwhile."""
    facts = {"wait": duration(seconds), "time": f"{until:%H:%M}"}
    when = gettext("Too many tries. Try again in %(wait)s, at %(time)s UTC.") % facts
    return when if known is not False else f"{when} " + gettext("A browser in which you have signed in before works meanwhile.")


def it_works(device: Device, proof: Proof) -> str:
    """That a device works, and what its answer showed: its clock, or how the key was reached and whom it checked."""
    facts = {"device": device.name, "n": duration(abs(proof.clock or 0))}
    said = [gettext("It works. “%(device)s” gave the right answer.") % facts]
    if proof.clock and proof.clock > 0:
        said.append(gettext("Its clock is at least %(n)s ahead.") % facts)
    elif proof.clock:
        said.append(gettext("Its code had ended %(n)s before: if you were quick, its clock is behind.") % facts)
    if proof.clock and not device.serial:
        said.append(gettext("Let your phone set its clock by itself."))
    # What the key was reached by is known only where there is one way; "this device" goes without saying.
    if len(device.transports) == 1 and device.transports != ["internal"]:
        [name] = device.transports
        said.append(gettext("Connected by: %(wire)s.") % {"wire": TRANSPORTS.get(name, name)})
    if proof.user_verified:
        said.append(gettext("It checked that it was you, by PIN, finger or face."))
    return " ".join(said)


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
    "smart-card": _("smart card"),
    "hybrid": _("phone"),
    "cable": _("phone"),
    "internal": _("this device"),
}
