"""What holds on every page and in every state of it: usable by all, on a small screen, in light and dark."""

import os
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import Complaints
from tests.browser.places import PLACES, Place, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SMALL, LARGE = ViewportSize(width=320, height=640), ViewportSize(width=1280, height=800)
# Without `preload`, by which axe reads imported style sheets through inline ones, which our policy rightly refuses.
AXE: dict[str, Any] = {"preload": False, "resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")

every_place = pytest.mark.parametrize("go", PLACES.values(), ids=PLACES.keys())


def violations(page: Page) -> str:
    """What axe-core finds wrong, in words; empty if nothing."""
    found = Axe().run(page, options=AXE)
    return str(found.generate_report()) if found.violations_count else ""


def sideways(page: Page) -> int:
    """By how many pixels the page can be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@every_place
def test_everybody_can_use_it(go: Place, page: Page) -> None:
    go(page)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert not violations(page), f"{go.__name__}, {scheme}"
    page.set_viewport_size(SMALL)
    assert page.evaluate("innerWidth") == SMALL["width"]
    assert sideways(page) == 0, f"{go.__name__} is wider than the screen"
    assert not violations(page), f"{go.__name__}, small"


def test_axe_finds_what_is_wrong(page: Page) -> None:
    sign_in(page)
    page.evaluate("document.querySelector('label').remove()")
    assert "label" in violations(page)


def test_a_wide_page_is_noticed(page: Page) -> None:
    sign_in(page)
    page.set_viewport_size(SMALL)
    page.evaluate("() => { document.querySelector('h1').innerHTML = '&nbsp;w'.repeat(99); }")
    page.evaluate("() => { document.querySelector('h1').style.overflowWrap = 'normal'; }")
    assert sideways(page) > 0


def test_complaints_of_the_browser_are_heard(page: Page, complaints: Complaints) -> None:
    sign_in(page)
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    page.evaluate("setTimeout(() => { throw new Error('a mistake in a script') })")
    page.evaluate("console.error('a complaint')")
    page.wait_for_timeout(50)
    for part in ("CSP style-src-attr inline", "Content Security Policy", "a mistake in a script", "a complaint"):
        complaints.forgive(part)


def test_large_text_stays_on_the_screen(page: Page) -> None:
    sign_in(page)
    page.set_viewport_size(SMALL)
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert sideways(page) == 0
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


@pytest.mark.skipif(not SCREENSHOTS, reason="SCREENSHOTS names no folder for the pictures")
@every_place
def test_pictures(go: Place, page: Page) -> None:
    folder = Path(SCREENSHOTS)
    folder.mkdir(parents=True, exist_ok=True)
    go(page)
    for size in (SMALL, LARGE):
        for scheme in SCHEMES:
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"{go.__name__}-{size['width']}-{scheme}.png", full_page=True)
