"""Chromium on the running service: one browser for all, a fresh context and page for each test.

Whatever the browser complains about during a test (script errors, console errors, CSP violations) fails it.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, WebError, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browser.virtual_key import slot

# Playwright keeps an event loop running in this thread, which Django takes for an asynchronous caller.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PATIENCE_MS = 5_000
TELL_CSP = "addEventListener('securitypolicyviolation', e => console.error(`CSP ${e.violatedDirective} ${e.blockedURI}`))"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser none of these tests can say anything."""
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="no Chromium here (chromium or chromium-browser on the PATH)"))


class Complaints(list[str]):
    """What the browser complained about in a context."""

    def listen(self, context: BrowserContext) -> None:
        """Everything from now on, on every page of it."""
        context.add_init_script(TELL_CSP)
        context.on("console", self._console)
        context.on("weberror", self._script)

    def forgive(self, part: str) -> None:
        """The complaints with this in them were what the test wanted; there must be one."""
        assert any(part in one for one in self), f"no complaint with {part!r}: {list(self)}"
        self[:] = [one for one in self if part not in one]

    def _console(self, message: ConsoleMessage) -> None:
        address = str(message.location.get("url", ""))
        # A page that refuses something comes with a status of 4xx, and Chromium notes that as an error.
        refused_page = (
            message.text.startswith("Failed to load resource: the server responded with a status of 4")
            and "/static/" not in address
        )
        if message.type in ("error", "warning") and not refused_page:
            self.append(f"{message.type}: {message.text} ({address})")

    def _script(self, error: WebError) -> None:
        self.append(f"script: {error.error}")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The one browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def site(live_server: LiveServer, settings: Settings) -> str:
    """The running service's address, which it takes for its own."""
    url = str(live_server.url)
    assert url.startswith("http://localhost:")
    settings.BASE_URL, settings.RP_ORIGINS = url, frozenset({url})
    settings.YUBICO_URL = "http://localhost:9/verify"  # so that such a key can be added; nothing is asked there
    settings.ALLOWED_HOSTS, settings.CSRF_TRUSTED_ORIGINS = ["localhost"], [url]
    return url


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """The browser's complaints; none may be left when the test is over."""
    heard = Complaints()
    yield heard
    assert not heard, "The browser complained:\n" + "\n".join(heard)


@pytest.fixture
def open_page(chromium: Browser, site: str, complaints: Complaints) -> Iterator[Callable[..., Page]]:
    """Opens a page in a browser of its own, which has cookies for itself; arguments are those of a Playwright context."""
    contexts = []

    def open_one(**options: Any) -> Page:
        context = chromium.new_context(base_url=site, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        complaints.listen(context)
        page = context.new_page()
        slot(page)
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A page of an ordinary browser."""
    return open_page()
