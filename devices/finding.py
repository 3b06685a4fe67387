"""Which token in stock shows this code: for one without a serial that can be read.

Nothing is claimed, counted or used up, so that looking can neither lock a token nor help anybody to guess one that is
somebody's: only tokens in stock are looked at. All of them are, whatever is found on the way, so that the time tells nothing.
"""

from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from devices import kinds, oath, yubico
from devices.lifecycle import State
from devices.models import OATH, Device, Kind
from mfa_site.errors import Reason, Refused
from mfa_site.site import this_site

MOST = 10_000  # tokens that are looked at: some seconds of a processor
WIDTH_ONE, WIDTH_TWO = 10, 20  # moving factors for one code, and for two, which leave little to chance
AT_ONCE = 500  # rows in memory
COLUMNS = ("id", "uuid", "kind", "serial", "model", "batch", "secret", "digits", "period", "algorithm", "drift", "counter")


def showing(codes: list[str], which: Q, now: datetime) -> tuple[list[Device], int]:
    """The tokens in stock among `which` that show this code now, or these two one after the other, and how many were looked at.

    Refused MALFORMED for what is no code, and where there are more than MOST of them.
    """
    stock = Device.objects.filter(which, state=State.IN_STOCK, user=None)
    if oath.YUBICO_OTP.match(codes[0].strip().lower()):
        return _touched(codes, stock.filter(kind=Kind.YUBIOTP), now)
    typed = [code.replace(" ", "").replace("-", "") for code in codes]
    if not all(code.isascii() and code.isdigit() and 6 <= len(code) <= 8 for code in typed):
        raise Refused(Reason.MALFORMED, detail=_("A code has 6 to 8 digits, or is what a YubiKey types."))
    tokens = stock.filter(kind__in=OATH, digits=len(typed[0]))
    if tokens[: MOST + 1].count() > MOST:
        raise Refused(Reason.MALFORMED, detail=_("These are more than 10,000 tokens. Choose one delivery of them."))
    width, found, seen = WIDTH_ONE if len(typed) == 1 else WIDTH_TWO, [], 0
    for device in tokens.only(*COLUMNS).iterator(AT_ONCE):
        seen += 1
        if oath.first_match(device, typed, oath.near(device, now, width)) is not None:
            found.append(device)
    return found, seen


def _touched(codes: list[str], keys: QuerySet[Device], now: datetime) -> tuple[list[Device], int]:
    """A YubiKey names itself in what it types; the code shows that it is no typing error."""
    try:
        found: Device | None = keys.filter(public_id=yubico.parts(codes[0])[0]).first()
        if found is None:
            return [], 0
        for code in codes:
            kinds.module(found.kind).verify(found, code, "", this_site(), now)
    except Refused:
        return [], 1
    return [found], 1
