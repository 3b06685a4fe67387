"""The FIDO Metadata Service's list of authenticator models (https://fidoalliance.org/specs/mds/fido-metadata-service-v3.1-ps.html):
for whom a key's attestation has to be signed, and whether the model is certified or broken.

It is one signed file, kept where `MFA_SITE_FIDO_METADATA` says; `manage.py update_metadata` fetches it.
"""

import functools
import json
import logging
import os
import tempfile
from base64 import b64decode
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import (
    Certificate,
    SubjectKeyIdentifier,
    load_der_x509_certificate,
    load_pem_x509_certificates,
)
from django.conf import settings
from fido2.mds3 import MetadataBlobPayload, MetadataBlobPayloadEntry, parse_blob
from fido2.utils import websafe_decode

log = logging.getLogger(__name__)

COMPROMISED = {
    "USER_VERIFICATION_BYPASS",
    "ATTESTATION_KEY_COMPROMISE",
    "USER_KEY_REMOTE_COMPROMISE",
    "USER_KEY_PHYSICAL_COMPROMISE",
    "REVOKED",
}
NOT_CERTIFIED = {"NOT_FIDO_CERTIFIED", "SELF_ASSERTION_SUBMITTED"}
OWN_ROOT = Path(__file__).with_name("fido_metadata_root.pem")  # GlobalSign Root CA - R3, which the service names


class NotGenuine(Exception):
    """The file is not what the service signed, or cannot be read."""


@dataclass(frozen=True)
class Entry:
    """One model: its description, who signs its attestations, and its status reports in their order."""

    description: str
    roots: tuple[Certificate, ...]
    statuses: tuple[str, ...]

    @property
    def is_compromised(self) -> bool:
        """Whether its keys, or what they prove, may be somebody else's."""
        return bool(COMPROMISED & set(self.statuses))

    @property
    def is_certified(self) -> bool:
        """Whether it was certified by FIDO, and that was not taken back since."""
        said = [one for one in self.statuses if one.startswith("FIDO_CERTIFIED") or one in NOT_CERTIFIED]
        return bool(said) and said[-1] not in NOT_CERTIFIED


@dataclass(frozen=True)
class Metadata:
    """The list: its number, until when the next one is due, and its entries by AAGUID and by the leaf's key identifier."""

    number: int
    next_update: date
    by_aaguid: dict[UUID, Entry]
    by_key: dict[bytes, Entry]


def current() -> Metadata | None:
    """The list that is installed; None where there is none or it cannot be used, and then the log says so."""
    path = settings.FIDO_METADATA
    try:
        return _read(path, Path(path).stat().st_mtime_ns) if path else None
    except FileNotFoundError:
        log.warning("There is no FIDO metadata at %s; run manage.py update_metadata", path)
    except (NotGenuine, OSError) as error:
        log.error("The FIDO metadata at %s cannot be used: %s", path, error)
    return None


@functools.lru_cache(maxsize=2)
def _read(path: str, _changed: int) -> Metadata:
    from django.utils import timezone

    return parsed(Path(path).read_bytes(), timezone.now())


def entry(aaguid: UUID, path: list[bytes]) -> Entry | None:
    """What the list says of this model; of old U2F keys, which have no AAGUID, by the certificates of their attestation."""
    known = current()
    if known is None:
        return None
    if aaguid.int:
        return known.by_aaguid.get(aaguid)
    keys = (SubjectKeyIdentifier.from_public_key(load_der_x509_certificate(one).public_key()).digest for one in path)
    return next((known.by_key[key] for key in keys if key in known.by_key), None)


def parsed(blob: bytes, now: datetime) -> Metadata:
    """The list in this file; NotGenuine unless it is signed by a certificate that leads to the service's root."""
    from devices.attestation import leads_to  # it imports this module

    try:
        header = json.loads(websafe_decode(blob.split(b".", 1)[0].decode()))
        chain = [load_der_x509_certificate(b64decode(one)) for one in header["x5c"]]
        [root] = load_pem_x509_certificates(Path(settings.FIDO_METADATA_ROOT or OWN_ROOT).read_bytes())
        if not leads_to(chain, [root], now):
            raise NotGenuine("its certificates do not lead to the root")
        payload = parse_blob(blob, root.public_bytes(Encoding.DER))
    except NotGenuine:
        raise
    except Exception as error:
        raise NotGenuine(f"it is not signed metadata ({type(error).__name__})") from None
    return _metadata(payload)


def _metadata(payload: MetadataBlobPayload) -> Metadata:
    by_aaguid, by_key = {}, {}
    for one in payload.entries:
        made = _entry(one)
        if one.aaguid:
            by_aaguid[UUID(bytes=bytes(one.aaguid))] = made
        by_key.update(dict.fromkeys(one.attestation_certificate_key_identifiers or (), made))
    return Metadata(payload.no, payload.next_update, by_aaguid, by_key)


def _entry(one: MetadataBlobPayloadEntry) -> Entry:
    statement: Any = one.metadata_statement
    roots = []
    for der in statement.attestation_root_certificates if statement else ():
        try:
            roots.append(load_der_x509_certificate(der))
        except ValueError:
            continue  # one that nobody can read anchors nothing
    description = statement.description if statement else ""
    return Entry(description, tuple(roots), tuple(str(report.status.value) for report in one.status_reports))


def install(blob: bytes, now: datetime) -> Metadata:
    """The file is the list from now on; NotGenuine, also for one older than what is here, and then nothing changed."""
    new, path = parsed(blob, now), Path(settings.FIDO_METADATA)
    old = current()
    if old and new.number < old.number:
        raise NotGenuine(f"it is number {new.number}, older than the one that is here, {old.number}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(blob)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return new
