"""Names of authenticator models by AAGUID. Only names: what a key is certified for is the FIDO metadata's to say."""

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from devices import fido_metadata


@functools.cache
def _names() -> dict[str, str]:
    names: dict[str, str] = json.loads(Path(__file__).with_name("aaguids.json").read_text(encoding="utf-8"))
    return names


def name(aaguid: UUID) -> str:
    """The model's name, or nothing where it is unknown."""
    return _names().get(str(aaguid), "")


def models() -> dict[str, set[str]]:
    """The models that can be chosen by name, ours and those of the FIDO metadata, with their AAGUIDs; several share a name."""
    found: dict[str, set[str]] = {}
    known = fido_metadata.current()
    described = {str(aaguid): entry.description for aaguid, entry in known.by_aaguid.items()} if known else {}
    for aaguid, called in {**described, **_names()}.items():
        found.setdefault(called or aaguid, set()).add(aaguid)
    return dict(sorted(found.items(), key=lambda pair: pair[0].casefold()))


def names_of(aaguids: Iterable[str]) -> set[str]:
    """The models of these AAGUIDs by name; what has no name by itself."""
    wanted = set(aaguids)
    named = {called for called, of_it in models().items() if of_it & wanted}
    return named | (wanted - set().union(*models().values()))
