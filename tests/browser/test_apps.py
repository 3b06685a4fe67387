"""Authenticator apps: the QR code as a phone's camera sees it, codes from an independent program."""

import io
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.steps import (
    alert,
    enter_code,
    expect_nobody_signed_in,
    expect_signed_in,
    give_password,
    sign_in_with_code,
    sign_out,
)
from tests.conftest import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

needs_oathtool = pytest.mark.skipif(shutil.which("oathtool") is None, reason="no oathtool here")
STEP = timedelta(seconds=30)


@pytest.fixture
def nora(transactional_db: None) -> Person:
    """She has no device yet."""
    return make_person(username="nora")


def scanned(page: Page) -> str:
    """What a camera reads from the screen."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    [code] = zxingcpp.read_barcodes(picture)
    return str(code.text)


def secret_of(uri: str) -> str:
    """The seed in base32, as the app takes it from the URI."""
    return parse_qs(urlsplit(uri).query)["secret"][0]


def code_of_oathtool(secret: str, later: timedelta = timedelta(0)) -> str:
    """The six digits that oathtool computes."""
    moment = (datetime.now(UTC) + later).strftime("%Y-%m-%d %H:%M:%S UTC")
    ran = subprocess.run(["oathtool", "--totp", "-b", "-N", moment, secret], capture_output=True, check=True, text=True)
    return ran.stdout.strip()


@needs_oathtool
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_app_is_scanned_from_the_screen(scheme: Literal["light", "dark"], page: Page, nora: Person) -> None:
    page.emulate_media(color_scheme=scheme)
    give_password(page, nora)
    page.get_by_role("link", name="Authenticator app").click()
    uri = scanned(page)
    assert uri.startswith("otpauth://totp/") and unquote(uri).endswith("issuer=MFA Site")
    assert page.get_by_role("link", name="Or open it in an app").get_attribute("href") == uri
    secret = secret_of(uri)
    enter_code(page, code_of_oathtool(secret))
    expect_signed_in(page)
    sign_out(page)
    give_password(page, nora)
    enter_code(page, code_of_oathtool(secret, later=STEP))
    expect_signed_in(page)


@needs_oathtool
def test_a_typed_key_is_the_scanned_one(page: Page, nora: Person) -> None:
    give_password(page, nora)
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_text("Or type it in").click()
    typed = page.locator(".key").inner_text()
    assert re.fullmatch("[A-Z2-7]{4}( [A-Z2-7]{4}){7}", typed)
    assert typed.replace(" ", "") == secret_of(scanned(page))


def test_reloading_shows_the_same_code_again(page: Page, nora: Person) -> None:
    give_password(page, nora)
    page.get_by_role("link", name="Authenticator app").click()
    before = scanned(page)
    page.reload()
    assert scanned(page) == before


@pytest.mark.parametrize(("typed", "flaw"), [("", "valueMissing"), ("12345", "patternMismatch"), ("abcdef", "patternMismatch")])
def test_a_mistyped_code_stays_in_the_browser_and_counts_nothing(
    typed: str, flaw: str, page: Page, transactional_db: None
) -> None:
    person = make_person("totp")
    give_password(page, person)
    enter_code(page, typed)
    field = page.get_by_label("Code", exact=True)
    assert field.evaluate(f"field => field.validity.{flaw}")
    expect(field).to_have_attribute("title", "6 digits")
    person.app.refresh_from_db()
    assert person.app.failures == 0
    enter_code(page, person.code())
    expect_signed_in(page)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "Enter the code"),
        ("12345", "The code has 6 digits. You entered 5 digits."),
        ("abcdef", "Use only the digits"),
        ("ccccccjlkbhfvhrgkjnvlbdtjnibvnbcfhkttjerkbrj", "touching a YubiKey"),
    ],
)
def test_a_mistyped_code_says_what_is_wrong_with_it(typed: str, says: str, page: Page, transactional_db: None) -> None:
    person = make_person("totp")
    give_password(page, person)
    page.locator("form", has=page.get_by_label("Code", exact=True)).evaluate("form => { form.noValidate = true }")
    enter_code(page, typed)
    expect(alert(page)).to_contain_text(says)
    expect(page).to_have_title(re.compile("^Error: "))
    enter_code(page, person.code())
    expect_signed_in(page)


def test_a_wrong_code_signs_nobody_in(page: Page, transactional_db: None) -> None:
    person = make_person("totp")
    give_password(page, person)
    enter_code(page, person.wrong_code())
    expect(alert(page)).to_contain_text("shows a different code")
    expect(page.get_by_label("Code", exact=True)).to_have_value("")
    expect_nobody_signed_in(page)


def test_a_code_in_two_groups_is_welcome(page: Page, transactional_db: None) -> None:
    person = make_person("totp")
    code = person.code()
    sign_in_with_code(page, person, f" {code[:3]} {code[3:]} ")


def test_a_code_is_good_once(page: Page, transactional_db: None) -> None:
    person = make_person("totp")
    code = person.code()
    sign_in_with_code(page, person, code)
    sign_out(page)
    give_password(page, person)
    enter_code(page, code)
    expect(alert(page)).to_contain_text("already used")
