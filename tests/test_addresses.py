"""Where codes may be sent: mobile numbers in E.164, mail addresses, and how both are shown to who may not know them."""

from typing import Any

import pytest

from devices import addresses
from mfa_site.errors import Reason, Refused


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+49 1512 3456789", "+4915123456789"),
        (" +49 (0)151-2345-6789 ", "+4915123456789"),
        ("+1 650 253 0000", "+16502530000"),  # where nobody can tell a mobile from another
        ("+447400123456", "+447400123456"),
    ],
)
def test_a_mobile_number_is_taken_in_any_spelling(typed: str, number: str) -> None:
    assert addresses.phone(typed) == number


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("01512 3456789", "country code"),
        ("", "country code"),
        ("+", "country code"),
        ("call me", "country code"),
        ("+４９１５１２３４５６７８９", "country code"),
        ("+49" + "1" * 400, "country code"),
        ("+4915123456789\n@evil #1", "country code"),
        ("+49 151 2", "no such number"),
        ("+999 123456789", "country code"),
        ("+4915123456789;ext=7", "no such number"),
        ("+49 30 123456", "mobile"),
        ("+49 900 1234567", "mobile"),
        ("+44 870 123 4567", "mobile"),
        ("+881 612 345678", "mobile"),  # satellite phones: dear, and of no country
        ("+870 773 123456", "mobile"),
    ],
)
def test_what_is_no_mobile_number_is_refused_in_words(typed: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        addresses.phone(typed)
    assert caught.value.reason is Reason.MALFORMED and why in caught.value.facts["detail"]


def test_only_the_countries_of_the_settings(settings: Any) -> None:
    settings.SMS_COUNTRIES = frozenset({"AT", "DE"})
    assert addresses.phone("+43 664 123456")
    with pytest.raises(Refused) as caught:
        addresses.phone("+447400123456")
    assert "country" in caught.value.facts["detail"]


def test_a_mail_address_is_one() -> None:
    assert addresses.mail(" ada@example.org ") == "ada@example.org"
    more = ("ada@example.org\nBcc: x@example.org", "a b@example.org", "a" * 300 + "@example.org")
    for wrong in ("", "ada", "ada@", "@example.org", *more):
        with pytest.raises(Refused) as caught:
            addresses.mail(wrong)
        assert caught.value.reason is Reason.MALFORMED


def test_its_owner_knows_it_again_and_nobody_else() -> None:
    assert addresses.masked("+4915123456789") == "+49 ••• 89"
    assert addresses.masked("+16502530000") == "+1 ••• 00"
    assert addresses.masked("ada.lovelace@example.org") == "a•••@example.org"
