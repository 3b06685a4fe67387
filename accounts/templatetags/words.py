"""Template filters that put facts into words."""

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import words
from accounts.forms import typed
from accounts.words import TRANSPORTS, clock_off, duration
from devices import kinds
from devices.addresses import masked
from devices.models import Device

register = template.Library()


@register.filter
def ago(moment: datetime) -> str:
    """ "just now" or "5 minutes ago"."""
    if (timezone.now() - moment).total_seconds() < 60:
        return _("just now")
    return _("%(time)s ago") % {"time": timesince(moment, depth=1)}


@register.filter
def left(moment: datetime) -> str:
    """How long until then: "30 seconds", "5 minutes"."""
    return duration(int((moment - timezone.now()).total_seconds()) + 1)


@register.filter
def kind_title(device: Device) -> str:
    """What kind of device it is."""
    return kinds.title(device)


@register.filter
def ends_in(device: Device) -> str:
    """The end of its serial, by which its owner tells it from another: four characters at most, and no more than half."""
    return device.serial[-half:] if (half := min(4, len(device.serial) // 2)) else ""


@register.filter
def sent_to(device: Device) -> str:
    """So much of the address that its owner knows it again."""
    return masked(device.address)


@register.filter
def prompt(device: Device) -> str:
    """What to enter for it."""
    return str(kinds.module(device.kind).PROMPT) % {"name": device.name, "digits": device.digits}


@register.simple_tag
def measure(device: Device, *, single: bool = False) -> str:
    """The attributes by which a browser tells a code of the wrong length before it is counted; two in a row may stand in a
    field that is not for a `single` one."""
    kind = kinds.module(device.kind)
    if not kind.NUMERIC:
        return ""
    lengths = (device.digits, 2 * device.digits) if kind.can_resync(device) and not single else (device.digits,)
    title = ngettext("%(n)d digit", "%(n)d digits", device.digits) % {"n": device.digits}
    return format_html(' pattern="{}" title="{}"', typed(*lengths), title)


@register.filter
def state(device: Device) -> str:
    """Whether it can be used, in a few words."""
    return words.state(device, timezone.now())


@register.filter
def off_by(device: Device) -> str:
    """How far the clock of a hardware token is off, as far as it was learned; empty where it is right."""
    return clock_off(device)


@register.filter
def then_two(device: Device) -> str:
    """That two codes line it up after its rest; empty where nothing does."""
    return str(words.THEN_TWO) if kinds.module(device.kind).can_resync(device) else ""


@register.filter
def transports(names: list[str]) -> str:
    """USB, NFC, Bluetooth … as people call them; unknown ones as they are."""
    known: list[Any] = [TRANSPORTS.get(name, name) for name in names]
    return ", ".join(str(name) for name in known)
