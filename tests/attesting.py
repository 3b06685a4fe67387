"""Makers of security keys in software: a root, an attestation certificate, real packed statements, and the signed list of
models that stands for the FIDO Metadata Service."""

import base64
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fido2 import cbor

from tests.soft_key import SoftKey, b64, unb64

AAGUID_OID = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
DAY = timedelta(days=1)


class Issuer:
    """A certificate that may issue others, with its key."""

    def __init__(self, name: str, of: "Issuer | None" = None, *, ca: bool = True, days: int = 3650, key: Any = None) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key: Any = key or ec.generate_private_key(ec.SECP256R1())
        issuer = of or self
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + (-2 * abs(days)) * DAY)
            .not_valid_after(now + days * DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        self.certificate = made.sign(issuer.key, hashes.SHA256())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


class Maker:
    """Makes keys of one model, attested by a certificate under its root. What is wrong with it is said when it is made."""

    def __init__(
        self,
        *,
        aaguid: UUID | None = None,
        said: UUID | None = None,
        days: int = 3650,
        issuer: Issuer | None = None,
        unit: str = "Authenticator Attestation",
    ) -> None:
        self.aaguid = aaguid or uuid4()
        self.root = issuer or Issuer("Root of a maker")
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = [(NameOID.COUNTRY_NAME, "SE"), (NameOID.ORGANIZATION_NAME, "A maker"), (NameOID.COMMON_NAME, "Batch 1")]
        names = [x509.NameAttribute(oid, value) for oid, value in [*subject, (NameOID.ORGANIZATIONAL_UNIT_NAME, unit)]]
        model = x509.UnrecognizedExtension(AAGUID_OID, b"\x04\x10" + (said or self.aaguid).bytes)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(names))
            .issuer_name(self.root.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + (-2 * abs(days)) * DAY)
            .not_valid_after(now + days * DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(model, critical=False)
        )
        self.certificate = made.sign(self.root.key, hashes.SHA256())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def create(self, key: SoftKey, options: dict[str, Any], *, chain: list[bytes] | None = None) -> dict[str, Any]:
        """A registration with the maker's packed attestation."""
        key.aaguid = self.aaguid.bytes
        answer = key.create(options)
        signature = self.key.sign(signed(answer), ec.ECDSA(hashes.SHA256()))
        return restated(answer, "packed", {"alg": -7, "sig": signature, "x5c": chain or [self.der]})


def self_attested(key: SoftKey, options: dict[str, Any]) -> dict[str, Any]:
    """A registration that the credential's own key attests."""
    answer = key.create(options)
    return restated(answer, "packed", {"alg": key.algorithm, "sig": key.sign(signed(answer))})


def signed(answer: dict[str, Any]) -> bytes:
    """What an attestation signs: the authenticator data and the hash of the client data."""
    said: Any = cbor.decode(unb64(answer["response"]["attestationObject"]))
    return bytes(said["authData"]) + sha256(unb64(answer["response"]["clientDataJSON"])).digest()


def restated(answer: dict[str, Any], fmt: str, statement: dict[str, Any]) -> dict[str, Any]:
    """The same registration with another statement."""
    said: Any = cbor.decode(unb64(answer["response"]["attestationObject"]))
    encoded = cbor.encode({"fmt": fmt, "attStmt": statement, "authData": said["authData"]})
    return {**answer, "response": {**answer["response"], "attestationObject": b64(encoded)}}


class Service:
    """A metadata service of our own: its root, and lists that it signs."""

    def __init__(self, folder: Path) -> None:
        self.root = Issuer("Root of the list", key=rsa.generate_private_key(65537, 2048))
        self.signer = Issuer("Signer", self.root, ca=False, key=rsa.generate_private_key(65537, 2048))
        self.root_file, self.blob_file = folder / "root.pem", folder / "blob.jwt"
        self.root_file.write_bytes(self.root.pem)

    def blob(self, *models: tuple[Maker, list[str]], number: int = 1, signer: Issuer | None = None) -> bytes:
        """The signed list of these models with their status reports."""
        entries = [self._entry(maker, statuses) for maker, statuses in models]
        next_update = str(datetime.now(UTC).date() + 30 * DAY)
        payload = {"legalHeader": "", "no": number, "nextUpdate": next_update, "entries": entries}
        by = signer or self.signer
        header = {"alg": "RS256", "typ": "JWT", "x5c": [base64.b64encode(by.der).decode()]}
        message = ".".join(b64(json.dumps(part).encode()) for part in (header, payload)).encode()
        return message + b"." + b64(by.key.sign(message, padding.PKCS1v15(), hashes.SHA256())).encode()

    @staticmethod
    def _entry(maker: Maker, statuses: list[str]) -> dict[str, Any]:
        statement = {
            "description": f"Model {maker.aaguid.hex[:4]}",
            "authenticatorVersion": 1,
            "schema": 3,
            "upv": [{"major": 1, "minor": 0}],
            "attestationTypes": ["basic_full"],
            "userVerificationDetails": [],
            "keyProtection": ["hardware"],
            "matcherProtection": ["on_chip"],
            "attachmentHint": ["external"],
            "tcDisplay": [],
            "attestationRootCertificates": [base64.b64encode(maker.root.der).decode()],
        }
        reports = [{"status": status, "effectiveDate": "2026-01-01"} for status in statuses]
        about = {"aaguid": str(maker.aaguid), "metadataStatement": statement, "statusReports": reports}
        return {**about, "timeOfLastStatusChange": "2026-01-01"}
