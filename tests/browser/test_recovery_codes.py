"""Recovery codes in a browser: made, copied, kept as a file, printed, and used, without JavaScript and by keyboard too."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from devices.models import Device
from tests.browser.steps import choose, enter_code, expect_signed_in, give_password, sign_in_with_code, sign_out
from tests.browser.test_keyboard import here, tab_to, type_password
from tests.conftest import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CODE = re.compile("[0-9a-z]{4}(?:-[0-9a-z]{4}){3}")


@pytest.fixture
def ada(transactional_db: None) -> Person:
    """She has an app."""
    return make_person("totp", username="ada", name="Ada Example")


def make_codes(page: Page) -> list[str]:
    """A signed-in person makes her first set; what the page shows."""
    page.goto("/account/recovery-codes/")
    page.get_by_role("button", name="Make recovery codes").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your recovery codes")
    codes = CODE.findall(page.locator("#codes").inner_text())
    assert len(set(codes)) == 10
    return codes


def use_code(page: Page, person: Person, code: str) -> None:
    """Password and recovery code; ends on the page that says so."""
    give_password(page, person)
    choose(page, "Recovery codes")
    enter_code(page, code)
    expect(page.get_by_role("heading", level=1)).to_have_text("You used a recovery code")


def test_copied_codes_are_on_the_clipboard(open_page: Callable[..., Page], ada: Person) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    sign_in_with_code(page, ada)
    codes = make_codes(page)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("Copied. Paste them somewhere safe.")
    assert page.evaluate("navigator.clipboard.readText()") == "\n".join(codes) + "\n"


def test_where_copying_is_forbidden_the_codes_are_selected(page: Page, ada: Person) -> None:
    sign_in_with_code(page, ada)
    codes = make_codes(page)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()); }")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_contain_text("selected")
    assert CODE.findall(page.evaluate("getSelection().toString()")) == codes


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_the_file_has_the_codes_of_the_page(open_page: Callable[..., Page], ada: Person, script: bool, tmp_path: Path) -> None:
    page = open_page(java_script_enabled=script)
    sign_in_with_code(page, ada)
    codes = make_codes(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert re.fullmatch(r"mfa-site-recovery-ada-\d{4}-\d\d-\d\d\.txt", download.value.suggested_filename)
    kept = tmp_path / "codes.txt"
    download.value.save_as(kept)
    text = kept.read_text(encoding="utf-8")
    assert CODE.findall(text) == codes and "MFA Site" in text and "Username: ada" in text
    assert not any(code in page.url for code in codes)
    expect(page.locator("#codes")).to_be_visible()


def test_on_paper_there_is_whose_codes_they_are_and_nothing_else(page: Page, ada: Person) -> None:
    sign_in_with_code(page, ada)
    codes = make_codes(page)
    expect(page.get_by_text("Username", exact=True)).to_be_hidden()
    page.emulate_media(media="print", color_scheme="dark")
    said = page.locator("body").inner_text()
    assert CODE.findall(said) == codes
    rest = re.sub(r"\s+", " ", CODE.sub("", said)).strip()
    address = page.url.split("/account")[0]
    assert re.fullmatch(rf"Your recovery codes Site MFA Site, {address} Username ada Made \d+ \w+ \d{{4}}", rest), rest
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf().count(b"/Type /Page\n") == 1, "one sheet"


def test_the_print_button_prints(page: Page, ada: Person) -> None:
    sign_in_with_code(page, ada)
    make_codes(page)
    page.evaluate("() => { window.print = () => { document.title = 'printed'; }; }")
    page.get_by_role("button", name="Print").click()
    expect(page).to_have_title("printed")


def test_a_reload_makes_no_other_set(page: Page, ada: Person) -> None:
    sign_in_with_code(page, ada)
    codes = make_codes(page)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("codes are shown only once")
    assert not CODE.findall(page.content().replace(str(ada.code_set.uuid), ""))
    sign_out(page)
    use_code(page, ada, codes[9])


def test_made_used_and_replaced_without_javascript(open_page: Callable[..., Page], ada: Person) -> None:
    page = open_page(java_script_enabled=False)
    sign_in_with_code(page, ada)
    page.get_by_role("link", name="Make recovery codes").click()
    codes = make_codes(page)
    expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    page.get_by_role("link", name="I have kept them").click()
    sign_out(page)

    use_code(page, ada, codes[4].upper().replace("-", " "))
    expect(page.get_by_text("9 are left.")).to_be_visible()
    page.get_by_role("link", name="Add a device").click()
    page.get_by_role("link", name="Authenticator app").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()

    page.goto("/account/recovery-codes/")
    page.get_by_text("Make a new set").click()
    page.get_by_role("button", name="Replace my codes").click()
    new = CODE.findall(page.locator("#codes").inner_text())
    assert len(new) == 10 and not set(new) & set(codes)
    page.goto("/account/")
    sign_out(page)

    give_password(page, ada)
    choose(page, "Recovery codes")
    enter_code(page, codes[0])
    expect(page.get_by_role("alert")).to_contain_text("none of your recovery codes")
    enter_code(page, new[0])
    expect(page.get_by_role("heading", level=1)).to_have_text("You used a recovery code")


def test_the_field_is_for_letters_too(page: Page, ada: Person) -> None:
    sign_in_with_code(page, ada)
    make_codes(page)
    sign_out(page)
    give_password(page, ada)
    choose(page, "Recovery codes")
    field = page.get_by_label("Code", exact=True)
    expect(field).to_be_focused()
    assert field.get_attribute("inputmode") is None and field.get_attribute("autocomplete") == "off"


def test_the_app_is_offered_though_a_code_was_used_last(page: Page, ada: Person) -> None:
    sign_in_with_code(page, ada)
    codes = make_codes(page)
    sign_out(page)
    use_code(page, ada, codes[0])
    sign_out(page)
    Device.objects.filter(pk=ada.app.pk).update(counter=-1)
    sign_in_with_code(page, ada)


def test_by_keyboard_alone(page: Page, ada: Person) -> None:
    sign_in_with_code(page, ada)
    tab_to(page, "Make recovery codes")
    page.keyboard.press("Enter")
    expect(page).to_have_url("/account/recovery-codes/")
    tab_to(page, "Make recovery codes")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your recovery codes")
    [code, *_] = CODE.findall(page.locator("#codes").inner_text())
    tab_to(page, "Copy")
    tab_to(page, "Download")
    tab_to(page, "Print")
    tab_to(page, "I have kept them")
    page.keyboard.press("Enter")
    expect_signed_in(page)
    sign_out(page)

    type_password(page, ada)
    tab_to(page, "Use another way")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("How do you want to sign in?")
    page.get_by_role("link", name="Recovery codes").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Enter a recovery code")
    assert here(page) == "Code"
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("You used a recovery code")
    tab_to(page, "Add a device")
    page.keyboard.press("Enter")
    expect(page).to_have_url("/account/devices/add/")
