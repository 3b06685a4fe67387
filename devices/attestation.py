"""What a new security key proves to be, judged fully (https://www.w3.org/TR/webauthn-3/ 7.1, steps 21 to 24).

python-fido2 judges the statement itself. What it leaves out is here: that there is a chain at all, the dates and CA flags of
its certificates, and what the FIDO metadata says of the model.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    ExtensionNotFound,
    KeyUsage,
    load_der_x509_certificate,
    load_pem_x509_certificates,
)
from django.conf import settings
from django.db import transaction
from fido2.attestation.base import Attestation
from fido2.webauthn import AttestationObject

from audit.events import OPERATOR, record
from devices import fido_metadata
from devices.lifecycle import State
from devices.models import Attested, Device
from mfa_site.client import Client


@dataclass(frozen=True)
class Proven:
    """What was proven (`Attested`, or nothing), and else what was wrong with it."""

    attested: str = ""
    doubt: str = ""


NOT_ASKED = Proven(doubt="not_asked")


def judge(said: AttestationObject, client_data_hash: bytes, now: datetime) -> Proven:
    """What the attestation proves of the key; nothing for none and self attestation, and for what cannot be read."""
    try:
        # Only names that it knows have a class; the others' raises.
        result = Attestation.for_type(said.fmt)().verify(said.att_stmt, said.auth_data, client_data_hash)
        path = [load_der_x509_certificate(one) for one in result.trust_path]
    except Exception:  # whatever a parser raises over somebody's bytes
        return Proven(doubt="statement")
    if not path:
        return Proven(doubt=said.fmt if said.fmt == "none" else "self")
    credential = said.auth_data.credential_data
    known = fido_metadata.entry(UUID(bytes=bytes(credential.aaguid)) if credential else UUID(int=0), result.trust_path)
    if known is None:
        return Proven(Attested.CERTIFIED) if leads_to(path, anchors(), now) else Proven(doubt="no_anchor")
    if known.is_compromised:
        return Proven(doubt="compromised")
    if not leads_to(path, known.roots, now):
        return Proven(doubt="chain")
    return Proven(Attested.CERTIFIED if known.is_certified else Attested.MODEL)


def anchors() -> list[Certificate]:
    """The certificates of makers that the operator trusts, beside the FIDO metadata."""
    path = settings.ATTESTATION_ANCHORS
    return _anchors(path, Path(path).stat().st_mtime_ns) if path else []


@functools.lru_cache(maxsize=4)
def _anchors(path: str, _changed: int) -> list[Certificate]:
    return load_pem_x509_certificates(Path(path).read_bytes())


def leads_to(path: list[Certificate], roots: Iterable[Certificate], now: datetime) -> bool:
    """Whether the path, leaf first, was issued one by the other, the last by one of the roots or is one, all of them in their
    time and all but the leaf allowed to issue."""
    try:
        if not all(_is_in_its_time(one, now) for one in path):
            return False
        if not all(_issued(issuer, child, depth) for depth, (child, issuer) in enumerate(pairwise(path))):
            return False
        return any(_ends_at(path, root, now) for root in roots)
    except Exception:  # a certificate with a key, a name or an extension that nobody can read
        return False


def _ends_at(path: list[Certificate], root: Certificate, now: datetime) -> bool:
    return root == path[-1] or (_is_in_its_time(root, now) and _issued(root, path[-1], len(path) - 1))


def _is_in_its_time(one: Certificate, now: datetime) -> bool:
    return one.not_valid_before_utc <= now <= one.not_valid_after_utc


def _issued(issuer: Certificate, child: Certificate, below: int) -> bool:
    """Whether the one signed the other and may issue with so many others below."""
    constraints = cast(Any, issuer.extensions.get_extension_for_class(BasicConstraints)).value
    if not constraints.ca or (constraints.path_length is not None and constraints.path_length < below):
        return False
    try:
        if not issuer.extensions.get_extension_for_class(KeyUsage).value.key_cert_sign:
            return False
    except ExtensionNotFound:
        pass  # not limited
    if issuer.subject != child.issuer:
        return False
    try:
        child.verify_directly_issued_by(issuer)
    except Exception:  # InvalidSignature, and what it raises over names and algorithms that do not fit
        return False
    return True


def look_again(known: fido_metadata.Metadata) -> int:
    """Keys of models that this metadata calls broken prove nothing any more, those of models that it does not call certified no
    more than their model; how many keys that changed. Nothing is ever gained by it: only the key itself could prove it."""
    models = Device.objects.exclude(attested="")
    broken = [aaguid for aaguid, entry in known.by_aaguid.items() if entry.is_compromised]
    plain = [aaguid for aaguid, entry in known.by_aaguid.items() if not entry.is_certified and not entry.is_compromised]
    changed = 0
    for aaguids, attested in ((broken, ""), (plain, Attested.MODEL)):
        with transaction.atomic():
            found = models.filter(aaguid__in=aaguids).exclude(attested=attested)
            lost = list(found.filter(state=State.ACTIVE).values_list("uuid", "user__uuid"))
            changed += found.update(attested=attested)
            for device, person in lost:
                record("attestation_lost", client=Client("", "", ""), actor=OPERATOR, person=person, device=device)
    return changed
