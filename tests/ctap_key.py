"""A whole FIDO2 authenticator in software, behind the interface that real ones have for python-fido2: CTAP 2.1 in CBOR, with
a PIN, by both PIN protocols, and a finger that may touch it or not.

    key = CtapKey()          # plugged in, without PIN
    Fido2Client(key, …)      # as with a real one

Its credentials are `tests.soft_key.SoftKey`s, so that one can sign in with them elsewhere.
"""

import hmac
import os
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fido2 import cbor
from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2
from fido2.hid import CAPABILITY, CTAPHID

from tests.soft_key import AT, UP, UV, SoftKey

E = CtapError.ERR
MAKE, GET, INFO, PIN, SELECTION = 1, 2, 4, 6, 11
AAGUID = bytes.fromhex("ee882879721c491397753dfcce97072a")  # a YubiKey 5; its certificates here are nobody's
PROTOCOLS = {1: PinProtocolV1, 2: PinProtocolV2}


class CtapKey(CtapDevice):
    """`touch`: whether somebody touches it when it blinks. `pin` is set, `min_pin` long at least. `options` as getInfo tells
    them, beside `clientPin`."""

    MOST_IN_A_ROW: ClassVar[int] = 3  # wrong PINs until it has to be pulled out

    def __init__(
        self, pin: str = "", *, touch: bool = True, min_pin: int = 4, versions: tuple[str, ...] = (), **options: bool
    ) -> None:
        self.pin_hash = sha256(pin.encode()).digest()[:16] if pin else b""
        self.touch, self.min_pin, self.retries, self.wrong = touch, min_pin, 8, 0
        self.versions = list(versions or ("FIDO_2_0", "FIDO_2_1"))
        self.options = {
            "rk": True,
            "up": True,
            "clientPin": bool(pin),
            "pinUvAuthToken": True,
            "makeCredUvNotRqd": True,
            **options,
        }
        self.held: dict[bytes, SoftKey] = {}
        self.agreement, self.token = ec.generate_private_key(ec.SECP256R1()), os.urandom(32)
        self.asked: list[int] = []  # the commands it got
        self.closed = False

    # ---- the wire --------------------------------------------------------------------------------------------------

    @property
    def capabilities(self) -> int:
        return int(CAPABILITY.CBOR)

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())

    def close(self) -> None:
        self.closed = True

    def pull_out(self) -> None:
        """Out and in again: three more tries for its PIN."""
        self.wrong, self.agreement, self.token = 0, ec.generate_private_key(ec.SECP256R1()), os.urandom(32)

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: threading.Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """One command and its answer; while nobody touches it, it waits until it is cancelled."""
        if cmd != CTAPHID.CBOR:
            raise CtapError(E.INVALID_COMMAND)
        self.asked.append(data[0])
        commands = {MAKE: self.make, GET: self.get, INFO: self.info, PIN: self.client_pin, SELECTION: self.selection}

        def blink() -> None:
            if on_keepalive:
                on_keepalive(STATUS.UPNEEDED)
            if not self.touch:
                (event or threading.Event()).wait(20)
                raise CtapError(E.KEEPALIVE_CANCEL)

        try:
            if data[0] not in commands:
                raise CtapError(E.INVALID_COMMAND)
            given: Any = cbor.decode(data[1:]) if data[1:] else {}
            answer = commands[data[0]](given, blink)
        except CtapError as error:
            return bytes([int(error.code)])
        except (KeyError, TypeError, ValueError):
            return bytes([E.INVALID_CBOR])
        return b"\0" + (cbor.encode(answer) if answer else b"")

    # ---- commands --------------------------------------------------------------------------------------------------

    def info(self, given: Any, blink: Callable[[], None]) -> dict[int, Any]:
        told: dict[int, Any] = {1: self.versions, 3: AAGUID, 4: self.options, 5: 1200, 6: [2, 1], 7: 8, 8: 128}
        return {**told, 9: ["nfc", "usb"], 10: [{"type": "public-key", "alg": -7}], 13: self.min_pin}

    def selection(self, given: Any, blink: Callable[[], None]) -> None:
        if "FIDO_2_1" not in self.versions:
            raise CtapError(E.INVALID_COMMAND)
        blink()

    def make(self, given: dict[int, Any], blink: Callable[[], None]) -> dict[int, Any] | None:
        if given.get(8) == b"":  # CTAP 2.0's way to ask which key is meant
            blink()
            raise CtapError(E.PIN_INVALID if self.pin_hash else E.PIN_NOT_SET)
        verified = self._verified(given.get(8), given.get(9), given[1])
        if self.pin_hash and not verified and not self.options["makeCredUvNotRqd"]:
            raise CtapError(E.PUAT_REQUIRED)
        if any(one["id"] in self.held for one in given.get(5, [])):
            blink()
            raise CtapError(E.CREDENTIAL_EXCLUDED)
        if -7 not in [one["alg"] for one in given[4]]:
            raise CtapError(E.UNSUPPORTED_ALGORITHM)
        blink()
        made = SoftKey(-7)
        made.rp_id, made.user_handle, made.aaguid = given[2]["id"], given[3]["id"], AAGUID
        self.held[made.credential_id] = made
        attested = AAGUID + struct.pack(">H", len(made.credential_id)) + made.credential_id + cbor.encode(dict(made.public))
        data = made._head((UP | AT) | (UV if verified else 0), None, None) + attested
        certificate, signer = attestation()
        signature = signer.sign(data + given[1], ec.ECDSA(hashes.SHA256()))
        return {1: "packed", 2: data, 3: {"alg": -7, "sig": signature, "x5c": [certificate]}}

    def get(self, given: dict[int, Any], blink: Callable[[], None]) -> dict[int, Any]:
        verified = self._verified(given.get(6), given.get(7), given[2])
        known = [one["id"] for one in given.get(3, []) if one["id"] in self.held]
        is_asked = given.get(5, {}).get("up", True)
        if is_asked:
            blink()
        found = [name for name in known if self.held[name].rp_id == given[1]]
        if not found:
            raise CtapError(E.NO_CREDENTIALS)
        held = self.held[found[0]]
        data = held._head((UP if is_asked else 0) | (UV if verified else 0), None, None)
        return {1: {"type": "public-key", "id": held.credential_id}, 2: data, 3: held.sign(data + given[2])}

    def _verified(self, parameter: bytes | None, protocol: int | None, client_data_hash: bytes) -> bool:
        if parameter is None:
            return False
        if not hmac.compare_digest(PROTOCOLS[protocol or 1]().authenticate(self.token, client_data_hash), parameter):
            raise CtapError(E.PIN_AUTH_INVALID)
        return True

    # ---- PIN -------------------------------------------------------------------------------------------------------

    def client_pin(self, given: dict[int, Any], blink: Callable[[], None]) -> dict[int, Any] | None:
        """CTAP 2.1, 6.5.5: retries, key agreement, setting a PIN, and tokens for it."""
        what, protocol = given[2], PROTOCOLS[given.get(1, 1)]()
        if what == 1:
            return {3: self.retries}
        if what == 2:
            point = self.agreement.public_key().public_numbers()
            return {1: {1: 2, 3: -25, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}}
        x, y = (int.from_bytes(given[3][part], "big") for part in (-2, -3))
        point = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1())
        shared = protocol.kdf(self.agreement.exchange(ec.ECDH(), point.public_key()))
        if what == 3:
            self._set_pin(protocol, shared, given)
            return None
        if what in (5, 9):
            self._check_pin(protocol.decrypt(shared, given[6]))
            self.token = os.urandom(32)
            return {2: protocol.encrypt(shared, self.token)}
        raise CtapError(E.INVALID_SUBCOMMAND)

    def _set_pin(self, protocol: PinProtocolV1, shared: bytes, given: dict[int, Any]) -> None:
        if self.pin_hash:
            raise CtapError(E.NOT_ALLOWED)
        if not hmac.compare_digest(protocol.authenticate(shared, given[5]), given[4]):
            raise CtapError(E.PIN_AUTH_INVALID)
        pin = protocol.decrypt(shared, given[5]).rstrip(b"\0")
        if len(pin.decode()) < self.min_pin or pin in (b"123456", b"1234"):
            raise CtapError(E.PIN_POLICY_VIOLATION)
        self.pin_hash, self.options["clientPin"] = sha256(pin).digest()[:16], True

    def _check_pin(self, hashed: bytes) -> None:
        if self.retries == 0:
            raise CtapError(E.PIN_BLOCKED)
        if self.wrong >= self.MOST_IN_A_ROW:
            raise CtapError(E.PIN_AUTH_BLOCKED)
        self.retries -= 1
        if not hmac.compare_digest(hashed, self.pin_hash):
            self.wrong += 1
            self.agreement = ec.generate_private_key(ec.SECP256R1())
            if self.retries == 0:
                raise CtapError(E.PIN_BLOCKED)
            raise CtapError(E.PIN_AUTH_BLOCKED if self.wrong >= self.MOST_IN_A_ROW else E.PIN_INVALID)
        self.retries, self.wrong = 8, 0


def attestation() -> tuple[bytes, ec.EllipticCurvePrivateKey]:
    """A certificate of the model, as WebAuthn 8.2.1 wants it, signed by itself; and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = {
        NameOID.COUNTRY_NAME: "SE",
        NameOID.ORGANIZATION_NAME: "Keys in software",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "Authenticator Attestation",
        NameOID.COMMON_NAME: "Key in software",
    }
    name = x509.Name([x509.NameAttribute(which, text) for which, text in names.items()])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(start).not_valid_after(start.replace(year=2056))
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER), key
