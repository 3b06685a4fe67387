"""oathtool, an OATH implementation that shares nothing with ours, drives tokens through sign-in over pages and API."""

import shutil
import subprocess
from typing import Any

import pytest
from django.utils import timezone

from devices.models import Device, Kind
from tests.authenticators import new_device
from tests.conftest import Api, Person, code_of, make_person
from tests.test_pages import Browser

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(shutil.which("oathtool") is None, reason="oathtool is not installed; apt-get install oathtool"),
]


def oathtool(row: Device, *arguments: str) -> list[str]:
    """The codes that it prints for the device's seed, which it reads from its standard input."""
    command = ["oathtool", f"--digits={row.digits}", *arguments, "-"]
    said = subprocess.run(command, input=row.seed.hex(), capture_output=True, text=True, check=True)
    return said.stdout.split()


def at_step(row: Device, steps: int = 0, window: int = 0) -> list[str]:
    """What a TOTP token shows so many steps from now, and in the steps that follow."""
    moment = int(timezone.now().timestamp()) + steps * row.period
    step = f"--time-step-size={row.period}s"
    return oathtool(row, f"--totp={row.algorithm}", step, f"--now=@{moment}", f"--window={window}")


def at_counter(row: Device, counter: int, window: int = 0) -> list[str]:
    """What an HOTP token shows at this counter, and with the presses that follow.

    oathtool's HOTP knows SHA-1 alone, as RFC 4226 does; its TOTP at this step is the same with the other two (RFC 6238 4.2).
    """
    if row.algorithm == "sha1":
        return oathtool(row, "--hotp", f"--counter={counter}", f"--window={window}")
    return oathtool(row, f"--totp={row.algorithm}", f"--now=@{counter * 30}", f"--window={window}")


def token_of(person: Person, kind: Kind, **columns: Any) -> Device:
    """A hardware token of the person's; its seed as long as its digest."""
    row = new_device(person.user, kind, f"S-{person.user.username}", **columns)
    row.seed = row.seed * 4 if row.algorithm == "sha512" else row.seed
    row.save(force_insert=True)
    return row


def answer(person: Person, row: Device, given: str) -> Any:
    api = Api()
    return api.answer(api.start(person), row, given)


@pytest.mark.parametrize("period", [30, 60])
@pytest.mark.parametrize("digits", [6, 8])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_a_totp_token(algorithm: str, digits: int, period: int) -> None:
    person = make_person()
    row = token_of(person, Kind.TOTP, algorithm=algorithm, digits=digits, period=period)
    now, following = at_step(row, window=1)
    assert len(now) == digits
    assert answer(person, row, now).status_code == 200
    assert code_of(answer(person, row, now)) == (401, "answer_used")
    assert answer(person, row, following).status_code == 200


@pytest.mark.parametrize("digits", [6, 8])
@pytest.mark.parametrize("steps", [-80, 80])
def test_a_totp_token_whose_clock_is_far_off_is_lined_up(digits: int, steps: int) -> None:
    person = make_person()
    row = token_of(person, Kind.TOTP, digits=digits)
    first, second, third = at_step(row, steps, window=2)
    assert code_of(answer(person, row, first)) == (401, "wrong_answer")
    assert answer(person, row, f"{first} {second}").status_code == 200
    assert answer(person, row, third).status_code == 200, "and is right from then on"


@pytest.mark.parametrize("digits", [6, 7, 8])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_an_hotp_token(algorithm: str, digits: int) -> None:
    person = make_person()
    row = token_of(person, Kind.HOTP, algorithm=algorithm, digits=digits)
    codes = at_counter(row, 0, window=9)
    assert len(codes) == 10 and {len(code) for code in codes} == {digits}
    for code in (codes[0], codes[1], codes[9]):
        assert answer(person, row, code).status_code == 200
    assert code_of(answer(person, row, codes[9])) == (401, "answer_used")
    assert code_of(answer(person, row, codes[5])) == (401, "wrong_answer")


@pytest.mark.parametrize("digits", [6, 8])
def test_an_hotp_token_that_was_pressed_too_often_is_lined_up(digits: int) -> None:
    person = make_person()
    row = token_of(person, Kind.HOTP, digits=digits)
    first, second, third = at_counter(row, 57, window=2)
    assert code_of(answer(person, row, first)) == (401, "wrong_answer")
    assert answer(person, row, f"{first} {second}").status_code == 200
    assert answer(person, row, third).status_code == 200


@pytest.mark.parametrize("kind", [Kind.TOTP, Kind.HOTP])
def test_a_token_in_stock_is_taken(alice: Person, kind: Kind) -> None:
    row = new_device(None, kind, "STOCK-1", digits=8)
    row.save(force_insert=True)
    codes = at_step(row, -1, window=1) if kind == Kind.TOTP else at_counter(row, 3, window=1)
    api = Api(Api().sign_in(alice)["access_token"])
    taken = api.post("devices", {"kind": kind, "serial": "stock-1", "answers": codes})
    assert taken.status_code == 201 and taken.json()["device"]["serial"] == "STOCK-1"


# ---- in pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [6, 8])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("kind", [Kind.TOTP, Kind.HOTP])
def test_a_token_signs_in_through_the_pages_and_is_lined_up_there(kind: Kind, algorithm: str, digits: int) -> None:
    person = make_person()
    row = token_of(person, kind, algorithm=algorithm, digits=digits)
    browser = Browser().password(person)
    assert f"{digits} digits" in browser.text
    browser.send(code=(at_step(row) if kind == Kind.TOTP else at_counter(row, 0))[0])
    assert browser.at == "/account/"
    # A clock that is an hour slow until it is set; a button that was pressed in a pocket.
    if kind == Kind.TOTP:
        Device.objects.update(drift=0, counter=-1)
    first, second = at_step(row, -70, window=1) if kind == Kind.TOTP else at_counter(row, 60, window=1)
    browser = Browser().password(person).send(code=first)
    assert browser.status == 401 and 'name="next_code"' in browser.text
    assert ("behind" if kind == Kind.TOTP else "pressed many times") in browser.text
    assert browser.send(code=first, next_code=second).at == "/account/"
