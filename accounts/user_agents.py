"""What a program calls itself, in a few words that its owner recognises. A hint, never evidence."""

import re

from django.utils.translation import gettext as _

# The first that occurs counts: newer browsers also carry the names of older ones.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)
PRODUCT = re.compile(r"\A([A-Za-z][A-Za-z0-9 ._-]{0,59})(/|\Z)")  # curl/8.1, python-requests/2.32


def in_words(user_agent: str) -> str:
    """ "Firefox on Linux", "python-requests" by its own name, or "Unknown program"."""
    product = PRODUCT.match(user_agent)
    by_itself = product.group(1).strip() if product and product.group(1) != "Mozilla" else ""
    return _in_words(user_agent, by_itself) or _("Unknown program")


def in_our_words(user_agent: str) -> str:
    """The same from the names above alone: in a mail that we answer for, a stranger's header has no say."""
    return _in_words(user_agent, "") or _("an unknown program")


def _in_words(user_agent: str, otherwise: str) -> str:
    browser = next((name for mark, name in BROWSERS if mark in user_agent), otherwise)
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system
