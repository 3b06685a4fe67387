"""Finding one's way in XML that was parsed: by local names, whatever prefix a producer chose."""

import base64
import binascii
from typing import Any
from xml.etree.ElementTree import Element

from devices.seed_files.rows import RefusedRow, Why


def base64_of(said: str) -> bytes:
    """The bytes; RefusedRow for what is no base64."""
    try:
        return base64.b64decode("".join(said.split()), validate=True)
    except (binascii.Error, ValueError):
        raise RefusedRow(Why.SEED_UNREADABLE) from None


def local(element: Any) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def at(element: Element, *names: str) -> Element | None:
    """The first element on this way down."""
    for name in names:
        found = next((part for part in element if local(part) == name), None)
        if found is None:
            return None
        element = found
    return element


def text(element: Element, *names: str) -> str:
    """What stands there, without spaces around; empty where nothing does."""
    found = at(element, *names)
    return "" if found is None or found.text is None else found.text.strip()
