"""Phone numbers and mail addresses to which codes are sent."""

import phonenumbers
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from phonenumbers import REGION_CODE_FOR_NON_GEO_ENTITY, NumberParseException, PhoneNumberFormat, PhoneNumberType

from mfa_site.errors import Reason, Refused

LONGEST = 40  # characters of a phone number with every space and bracket
LONGEST_MAIL = 254  # RFC 5321 4.5.3.1.3
# Numbers that cost whoever sends to them more (premium, shared cost) and that several people read are none of these.
# Satellite phones are, and cost several times as much: they belong to no country, by which they are told.
PERSONAL = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


def phone(text: str) -> str:
    """The number in E.164, of a mobile phone in a country that is allowed; Refused MALFORMED with a `detail` for people."""
    typed = text.strip()
    try:
        if len(typed) > LONGEST or not typed.isascii() or not typed.startswith("+"):
            raise NumberParseException(NumberParseException.NOT_A_NUMBER, "")
        number = phonenumbers.parse(typed)
    except NumberParseException:
        raise _refused(_("Enter the number with its country code, like +49 151 12345678.")) from None
    if number.extension or not phonenumbers.is_valid_number(number):
        raise _refused(_("There is no such number. Check the country code and every digit."))
    region = phonenumbers.region_code_for_number(number)
    if phonenumbers.number_type(number) not in PERSONAL or region == REGION_CODE_FOR_NON_GEO_ENTITY:
        raise _refused(_("That is not the number of a mobile phone."))
    allowed = settings.SMS_COUNTRIES
    if allowed and region not in allowed:
        raise _refused(_("No messages are sent to that country from here."))
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def country_code(number: str) -> str:
    """The country calling code of a number in E.164."""
    return str(phonenumbers.parse(number).country_code)


def mail(text: str) -> str:
    """The mail address; Refused MALFORMED with a `detail` for people."""
    typed = text.strip()
    try:
        if len(typed) > LONGEST_MAIL or not typed.isprintable():
            raise ValidationError("")
        validate_email(typed)
    except ValidationError:
        raise _refused(_("Enter a mail address, like ada@example.org.")) from None
    return typed


def masked(address: str) -> str:
    """So much of it that its owner knows it again, and nobody else: `+49 ••• 78`, `a•••@example.org`."""
    name, at, host = address.rpartition("@")
    if at:
        return f"{name[:1]}•••@{host}"
    try:
        return f"+{country_code(address)} ••• {address[-2:]}"
    except NumberParseException:
        return "•••"


def _refused(detail: str) -> Refused:
    return Refused(Reason.MALFORMED, detail=detail)
