"""Names of authenticator models by AAGUID. Only names: what a key is certified for is the FIDO metadata's to say."""

import functools
import json
from pathlib import Path
from uuid import UUID


@functools.cache
def _names() -> dict[str, str]:
    names: dict[str, str] = json.loads(Path(__file__).with_name("aaguids.json").read_text(encoding="utf-8"))
    return names


def name(aaguid: UUID) -> str:
    """The model's name, or nothing where it is unknown."""
    return _names().get(str(aaguid), "")
