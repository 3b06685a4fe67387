"""TOTP against RFC 6238's own numbers, through our `verify`."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.utils import timezone

from devices.kinds import Ceremony, totp
from devices.models import Device
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site
from tests.conftest import make_person

FOR = Ceremony(uuid4(), uuid4())
SITE = Site("localhost", frozenset({"http://localhost:8000"}), "MFA Site")

# RFC 6238 appendix B: the three keys have 20, 32 and 64 bytes.
SEEDS = {
    "sha1": b"12345678901234567890",
    "sha256": b"12345678901234567890123456789012",
    "sha512": b"1234567890123456789012345678901234567890123456789012345678901234",
}
RFC_6238 = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]


def device(algorithm: str = "sha1", digits: int = 8, period: int = 30, seed: bytes = b"") -> Device:
    row = Device(kind="totp", name="App", algorithm=algorithm, digits=digits, period=period)
    row.seed = seed or SEEDS[algorithm]
    return row


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def refused(row: Device, code: str, moment: datetime) -> Reason:
    with pytest.raises(Refused) as caught:
        totp.verify(row, code, "", SITE, moment)
    return caught.value.reason


@pytest.mark.parametrize("algorithm", SEEDS)
@pytest.mark.parametrize("line", RFC_6238, ids=lambda line: str(line[0]))
def test_the_rfc_6238_vectors_pass_and_prove_their_step(algorithm: str, line: tuple[int, str, str, str]) -> None:
    moment, code = line[0], line[1:][list(SEEDS).index(algorithm)]
    assert totp.verify(device(algorithm), code, "", SITE, at(moment)).counter == moment // 30


def test_one_step_to_each_side_passes_and_two_do_not() -> None:
    row, step = device(), 1111111109 // 30
    for offset, fine in [(-90, False), (-60, False), (-30, True), (0, True), (30, True), (60, False), (90, False)]:
        moment = at(1111111109 + offset)
        if fine:
            assert totp.verify(row, "07081804", "", SITE, moment).counter == step
        else:
            assert refused(row, "07081804", moment) is Reason.CODE_OUT_OF_SYNC, "it can never be right any more, or only soon"


def test_the_window_lies_around_the_drift() -> None:
    row = device()
    row.drift = 4
    assert totp.verify(row, "07081804", "", SITE, at(1111111109 - 4 * 30)).counter == 1111111109 // 30
    assert refused(row, "07081804", at(1111111109)) is Reason.CODE_OUT_OF_SYNC


@pytest.mark.parametrize(("digits", "period"), [(6, 30), (7, 30), (8, 30), (6, 60), (8, 60)])
@pytest.mark.parametrize("algorithm", SEEDS)
def test_every_length_and_period_works_with_what_the_device_itself_shows(algorithm: str, digits: int, period: int) -> None:
    row = device(algorithm, digits, period)
    code = totp.code_now(row, at(1_700_000_000))
    assert len(code) == digits
    assert totp.verify(row, code, "", SITE, at(1_700_000_000)).counter == 1_700_000_000 // period


def test_a_step_that_is_not_higher_was_used() -> None:
    row = device()
    row.counter = 1111111109 // 30
    assert refused(row, "07081804", at(1111111109)) is Reason.ANSWER_USED


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("0708180", Reason.CODE_LENGTH),
        ("070818040", Reason.CODE_LENGTH),
        ("", Reason.CODE_NOT_DIGITS),
        ("０７０８１８０４", Reason.CODE_NOT_DIGITS),
        ("٠٧٠٨١٨٠٤", Reason.CODE_NOT_DIGITS),
        ("07081804\n", Reason.CODE_NOT_DIGITS),
        ("+7081804", Reason.CODE_NOT_DIGITS),
        ("07_081804", Reason.CODE_NOT_DIGITS),
        ("²³¹²³¹²³", Reason.CODE_NOT_DIGITS),
        ("ccccccbchvthlivuitriujjifivbvtrjkjfirllluurj", Reason.CODE_LOOKS_LIKE_YUBIKEY),
    ],
)
def test_what_is_no_code_is_told_apart(typed: str, reason: Reason) -> None:
    assert refused(device(), typed, at(1111111109)) is reason


@pytest.mark.django_db
def test_a_new_app_gets_160_bits_and_a_uri_that_says_who_and_where() -> None:
    row = Device(user=make_person(username="ada").user, kind="totp", name="App")
    totp.fill(row, {}, SITE)
    shown = totp.begin(row, FOR, SITE, timezone.now()).shown
    assert len(row.seed) == 20 and len(shown["secret"]) == 32
    assert shown["otpauth_uri"] == f"otpauth://totp/MFA%20Site:ada?secret={shown['secret']}&issuer=MFA%20Site"
    assert row.secret.startswith("v1.") and shown["secret"] not in row.secret
    assert totp.begin(row, FOR, SITE, timezone.now()).shown == shown, "shown again it is the same"
