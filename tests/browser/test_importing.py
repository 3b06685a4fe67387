"""As a token-desk administrator in a real browser: a bad row is named, the corrected file is imported, and undone."""

import csv
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from accounts import handing_out
from audit.events import OPERATOR
from devices import queue
from devices.lifecycle import State
from devices.models import Device
from mfa_site.client import Client
from tests.browser.desk_import_places import imported, token_desk, upload
from tests.conftest import make_person
from tests.test_import_tokens import line

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_bad_row_is_named_the_corrected_file_imported_and_undone(page: Page) -> None:
    token_desk(page)
    upload(page, line(1), line(2, last="45"), line(3))
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="2", exact=True))
    expect(row).to_contain_text("A2")
    expect(row).to_contain_text("The period is not 30 or 60 seconds.")
    expect(page.get_by_role("button", name="Import", exact=False)).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download these rows as CSV").click()
    with Path(download.value.path()).open(newline="") as report:
        assert [cells[:2] for cells in csv.reader(report)] == [["Row", "Serial"], ["2", "A2"]]
    page.get_by_role("link", name="Upload another file").click()
    imported(page, line(1), line(2), line(3))
    expect(page.get_by_text("3 tokens were imported.")).to_be_visible()
    assert Device.objects.filter(state=State.IN_STOCK).count() == 3
    page.get_by_text("Undo this import").click()
    page.get_by_role("button", name="Undo the import").click()
    expect(page.get_by_text("The import was undone")).to_be_visible()
    assert not Device.objects.filter(state=State.IN_STOCK).exists()


def test_a_choice_is_asked_for_and_the_keyboard_is_enough(page: Page) -> None:
    token_desk(page)
    imported(page, line(1), line(2))
    upload(page, line(1), line(3))
    page.get_by_label("Skip these rows", exact=False).focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Import 2 rows").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("progressbar")).to_be_visible()
    queue.drain("browser")
    expect(page.get_by_text("1 token was imported.")).to_be_visible()


def test_no_undo_after_one_was_handed_out(page: Page) -> None:
    token_desk(page)
    imported(page, line(1), line(2))
    person, now = make_person("totp").user, timezone.now()
    handing_out.hand_out(Device.objects.get(serial="A1"), person, Client("", "", ""), now, actor=OPERATOR)
    page.get_by_text("Undo this import").click()
    page.get_by_role("button", name="Undo the import").click()
    expect(page.get_by_text("It cannot be undone")).to_be_visible()
    assert Device.objects.filter(serial="A2", state=State.IN_STOCK).exists()


def test_without_javascript(chromium: Browser, site: str) -> None:
    context = chromium.new_context(base_url=site, java_script_enabled=False)
    page = context.new_page()
    token_desk(page)
    imported(page, line(1))
    expect(page.get_by_text("1 token was imported.")).to_be_visible()
    context.close()
