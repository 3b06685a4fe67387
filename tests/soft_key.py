"""A security key in software that signs real registrations and assertions, and wrong ones when told to.

Every answer is made of named parts (`client_data`, `flags`, `counter` …); a test changes one of them, the key signs
what results, and the service has to find the fault.
"""

import base64
import json
import secrets
import struct
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fido2 import cbor
from fido2.cose import ES256, RS256, CoseKey, EdDSA

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class SoftKey:
    """One key with one credential; `counts` False makes it a key that always reports 0."""

    def __init__(self, algorithm: int = -7, origin: str = "http://localhost:8000", counts: bool = True) -> None:
        self.algorithm, self.origin, self.counts = algorithm, origin, counts
        self.private: Any = self._new_private(algorithm)
        self.credential_id, self.counter = secrets.token_bytes(32), 0
        self.user_handle: bytes | None = None
        self.rp_id, self.flags, self.aaguid = "localhost", UP, bytes(16)
        self.transports = ["usb"]

    @classmethod
    def from_seed(cls, software_key: dict[str, Any]) -> "SoftKey":
        """The key that `seed_demo --json` printed."""
        key = cls()
        key.private = load_pem_private_key(software_key["private_key_pem"].encode(), None)
        key.credential_id, key.counter = unb64(software_key["credential_id"]), software_key["sign_count"]
        key.user_handle, key.rp_id = unb64(software_key["user_handle"]), software_key["rp_id"]
        return key

    @staticmethod
    def _new_private(algorithm: int) -> Any:
        if algorithm == -8:
            return ed25519.Ed25519PrivateKey.generate()
        if algorithm == -257:
            return rsa.generate_private_key(65537, 2048)
        return ec.generate_private_key({-35: ec.SECP384R1(), -36: ec.SECP521R1()}.get(algorithm, ec.SECP256R1()))

    @property
    def public(self) -> CoseKey:
        """The COSE public key."""
        kind: Any = {-7: ES256, -8: EdDSA, -257: RS256}.get(self.algorithm) or CoseKey.for_alg(self.algorithm)
        cose: CoseKey = kind.from_cryptography_key(self.private.public_key())
        return cose

    def sign(self, message: bytes) -> bytes:
        """The signature in the key's own algorithm."""
        if self.algorithm == -8:
            return bytes(self.private.sign(message))
        if self.algorithm == -257:
            return bytes(self.private.sign(message, padding.PKCS1v15(), hashes.SHA256()))
        return bytes(self.private.sign(message, ec.ECDSA(hashes.SHA256())))

    def _client_data(self, ceremony: str, challenge: str, changes: dict[str, Any]) -> bytes:
        said = {"type": ceremony, "challenge": challenge, "origin": self.origin, "crossOrigin": False, **changes}
        return json.dumps({name: value for name, value in said.items() if value is not None}, separators=(",", ":")).encode()

    def _head(self, flags: int, rp_id: str | None, counter: int | None) -> bytes:
        if counter is None:
            self.counter += self.counts
            counter = self.counter
        return sha256((rp_id or self.rp_id).encode()).digest() + struct.pack(">BI", flags, counter)

    def get(
        self,
        options: dict[str, Any],
        *,
        client_data: dict[str, Any] | None = None,
        flags: int | None = None,
        rp_id: str | None = None,
        counter: int | None = None,
        extra: bytes = b"",
        signer: "SoftKey | None" = None,
        **members: Any,
    ) -> dict[str, Any]:
        """An assertion as the browser's `toJSON()` gives it; each argument is one way to be wrong."""
        said = self._client_data("webauthn.get", options["challenge"], client_data or {})
        data = self._head(self.flags if flags is None else flags, rp_id, counter) + extra
        signature = (signer or self).sign(data + sha256(said).digest())
        response = {"clientDataJSON": b64(said), "authenticatorData": b64(data), "signature": b64(signature)}
        if self.user_handle is not None:
            response["userHandle"] = b64(self.user_handle)
        return self._credential({**response, **members.pop("response", {})}, members)

    def create(
        self,
        options: dict[str, Any],
        *,
        client_data: dict[str, Any] | None = None,
        flags: int | None = None,
        rp_id: str | None = None,
        public: dict[int, Any] | None = None,
        extra: bytes = b"",
        fmt: Any = "none",
        **members: Any,
    ) -> dict[str, Any]:
        """A registration with attestation `none`."""
        said = self._client_data("webauthn.create", options["challenge"], client_data or {})
        cose = cbor.encode(dict(self.public) if public is None else public)
        attested = self.aaguid + struct.pack(">H", len(self.credential_id)) + self.credential_id + cose
        data = self._head((self.flags if flags is None else flags) | AT, rp_id, 0) + attested + extra
        attestation = cbor.encode({"fmt": fmt, "attStmt": {}, "authData": data})
        self.user_handle = unb64(options["user"]["id"]) if "user" in options else None
        response = {"clientDataJSON": b64(said), "attestationObject": b64(attestation), "transports": self.transports}
        return self._credential({**response, **members.pop("response", {})}, members)

    def _credential(self, response: dict[str, Any], members: dict[str, Any]) -> dict[str, Any]:
        whole = {
            "id": b64(self.credential_id),
            "rawId": b64(self.credential_id),
            "type": "public-key",
            "response": response,
            "authenticatorAttachment": "cross-platform",
            "clientExtensionResults": {},
            **members,
        }
        return {name: value for name, value in whole.items() if value is not None}
