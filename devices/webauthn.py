"""Checks of WebAuthn answers, one function each, on the bytes themselves (https://www.w3.org/TR/webauthn-3/ 7.1 and 7.2).

Each raises Refused with its own reason. What parses them is python-fido2.
"""

import base64
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.webauthn import AuthenticatorData

from devices.models import Device
from mfa_site.api import load
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site

ALGORITHMS = (-7, -8, -257)  # ES256, EdDSA, RS256 (Windows Hello needs it), in this order of preference
FLAG = AuthenticatorData.FLAG


def credential_of(answer: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The `response` member and the credential id, of a public-key credential whose `id` and `rawId` agree."""
    response, credential_id = answer.get("response"), answer.get("id")
    if type(response) is not dict or not isinstance(credential_id, str):
        raise Refused(Reason.ASSERTION_UNREADABLE)
    if answer.get("type") != "public-key":
        raise Refused(Reason.ASSERTION_TYPE)
    if answer.get("rawId", credential_id) != credential_id:
        raise Refused(Reason.CREDENTIAL_ID)
    return response, bytes_of(answer, "id")


def check_client_data(client_data: bytes, ceremony: str, kept: str, site: Site) -> None:
    said = parsed(lambda: load(client_data))
    if type(said) is not dict:
        raise Refused(Reason.ASSERTION_UNREADABLE)
    if said.get("type") != ceremony:
        raise Refused(Reason.ASSERTION_TYPE)
    given = said.get("challenge")
    if not isinstance(given, str) or not secrets.compare_digest(given.encode(), kept.encode()):
        raise Refused(Reason.ASSERTION_CHALLENGE)
    origin = said.get("origin")
    if not isinstance(origin, str) or origin not in site.origins:
        raise Refused(Reason.ASSERTION_ORIGIN)
    if said.get("crossOrigin", False) is not False or "topOrigin" in said:
        raise Refused(Reason.ASSERTION_CROSS_ORIGIN)


def check_user_handle(response: dict[str, Any], device: Device) -> None:
    if response.get("userHandle") in (None, ""):
        return
    if device.user is None or not secrets.compare_digest(bytes_of(response, "userHandle"), bytes(device.user.user_handle)):
        raise Refused(Reason.ASSERTION_USER_HANDLE)


def check_authenticator_data(data: AuthenticatorData, rp_id: str, site: Site) -> None:
    if data.rp_id_hash != sha256(rp_id.encode()).digest():
        raise Refused(Reason.ASSERTION_RP_ID)
    if not data.flags & FLAG.UP:
        raise Refused(Reason.ASSERTION_NO_PRESENCE)
    if site.user_verification == "required" and not data.flags & FLAG.UV:
        raise Refused(Reason.ASSERTION_NOT_VERIFIED)
    if data.flags & FLAG.BS and not data.flags & FLAG.BE:
        raise Refused(Reason.ASSERTION_BACKUP_FLAGS)


def check_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    key = parsed(lambda: CoseKey.parse(cast(Any, cbor.decode(public_key))))
    try:
        key.verify(message, signature)
    except InvalidSignature:
        raise Refused(Reason.ASSERTION_SIGNATURE) from None


def check_public_key(key: CoseKey) -> None:
    """An offered algorithm and a usable key of it: on its curve, RSA of 2048 to 4096 bits."""
    if key.get(3) not in ALGORITHMS:
        raise Refused(Reason.CREDENTIAL_ALGORITHM)
    expected_type = {-7: 2, -8: 1, -257: 3}[key[3]]
    if key.get(1) != expected_type or (key[3] == -257 and not 256 <= len(_modulus(key)) <= 512):
        raise Refused(Reason.CREDENTIAL_KEY)
    try:
        key.verify(b"", b"\0" * 64)  # loads the key; points off the curve and wrong curves fail here
    except InvalidSignature:
        return
    except Exception:
        raise Refused(Reason.CREDENTIAL_KEY) from None


def _modulus(key: CoseKey) -> bytes:
    modulus = key.get(-1)
    return modulus.lstrip(b"\0") if isinstance(modulus, bytes) else b""


def parsed(parse: Callable[[], Any]) -> Any:
    """What the parser returns; whatever it raises (ValueError, KeyError, IndexError, RecursionError …) is one refusal."""
    try:
        return parse()
    except Exception:
        raise Refused(Reason.ASSERTION_UNREADABLE) from None


def bytes_of(holder: dict[str, Any], name: str) -> bytes:
    """The member as bytes, from strict base64url without padding."""
    value: Any = holder.get(name)
    data: bytes = parsed(lambda: base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    if b64(data) != value:
        raise Refused(Reason.ASSERTION_UNREADABLE)
    return data


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
