"""FIDO2 security keys: WebAuthn registration and assertion (https://www.w3.org/TR/webauthn-3/ 7.1 and 7.2).

python-fido2 parses CBOR, COSE keys and authenticator data and checks signatures. Everything that its server leaves
to the relying party is checked here, one named check after the other, on the bytes themselves: its own
`authenticate_complete` takes ten times as long and accepts other origins, replays and cloned keys.
"""

import base64
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.webauthn import AttestationObject, AuthenticatorData

from devices import aaguids
from devices.kinds import Ceremony, Facts, Proof, Shown, never, no_resync, spend_counter
from devices.models import Device, Kind
from mfa_site.api import load
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site

TITLE = _("Security key")
HINT = _("Plug it in or hold it close, and touch it when it blinks.")
ABOUT = _("A small key for USB, NFC or Bluetooth, your phone, or the lock of this computer.")
ANSWER = dict
KEPT_ONCE = True
STRENGTH = 40
ACR = "phr"
STANDS_IN = False
ASKS = ()
SENDS = False
AFTERWARDS = ""

ALGORITHMS = (-7, -8, -257)  # ES256, EdDSA, RS256 (Windows Hello needs it), in this order of preference
TIMEOUT_MS = 120_000  # the browser's; the challenge itself lives as long as the sign-in
CREDENTIAL_ID_BYTES = range(16, 1024)  # WebAuthn 4 and 7.1 step 25
MAX_KEYS = 64  # as many as are ever listed for exclusion
FORMAT = re.compile(r"\A[!-~]{1,32}\Z")  # WebAuthn 8.1
TRANSPORT = re.compile(r"\A[a-z0-9-]{1,20}\Z")
FLAG = AuthenticatorData.FLAG


def is_offered(site: Site) -> bool:
    """Anybody can add a key."""
    return True


def fill(device: Device, given: dict[str, str], site: Site) -> None:
    """Nothing: the registration brings all that there is to keep."""


def begin(device: Device, ceremony: Ceremony, site: Site, now: datetime) -> Shown:
    """Creation options for this person, who must not register a key twice; the challenge is kept."""
    person: Any = device.user
    registered = Device.objects.filter(~Q(credential_id=None), user=person, kind=Kind.FIDO2).order_by("-id")[:MAX_KEYS]
    wanted = _challenge()
    options = {
        "rp": {"id": site.rp_id, "name": site.issuer},
        "user": {
            "id": _b64(bytes(person.user_handle)),
            "name": person.get_username()[:64],
            "displayName": person.get_full_name()[:64],
        },
        "challenge": wanted,
        "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS],
        "timeout": TIMEOUT_MS,
        "excludeCredentials": [_descriptor(key) for key in registered],
        "authenticatorSelection": {
            "residentKey": "discouraged",
            "requireResidentKey": False,
            "userVerification": site.user_verification,
        },
        "attestation": "none",
    }
    return Shown({"public_key": options}, wanted)


def challenge(device: Device, ceremony: Ceremony, site: Site, now: datetime) -> Shown:
    """Request options for this one key; the challenge is kept."""
    wanted = _challenge()
    hints = ["security-key"] if set(device.transports) & {"usb", "nfc", "ble", "smart-card"} else []
    options = {
        "challenge": wanted,
        "rpId": device.rp_id or site.rp_id,
        "timeout": TIMEOUT_MS,
        "userVerification": site.user_verification,
        "allowCredentials": [_descriptor(device)],
        "hints": hints,
    }
    return Shown({"public_key": options}, wanted)


def verify(device: Device, answer: dict[str, Any], kept: str, site: Site, now: datetime) -> Proof:
    """The proof carries the signature counter (None where the key does not count), UV and the backup state."""
    response, credential_id = _credential(answer)
    if credential_id != bytes(device.credential_id or b""):
        raise Refused(Reason.CREDENTIAL_UNKNOWN)
    client_data, auth_data = _bytes(response, "clientDataJSON"), _bytes(response, "authenticatorData")
    _check_client_data(client_data, "webauthn.get", kept, site)
    _check_user_handle(response, device)
    data = _parsed(lambda: AuthenticatorData(auth_data))
    _check_authenticator_data(data, device.rp_id or site.rp_id, site)
    _check_signature(bytes(device.public_key or b""), auth_data + sha256(client_data).digest(), _bytes(response, "signature"))
    # What follows may suspend the key, so it is judged only of a genuine signature.
    if bool(data.flags & FLAG.BE) != device.backup_eligible:
        raise Refused(Reason.ASSERTION_BACKUP_CHANGED)
    if (data.counter or device.counter > 0) and data.counter <= device.counter:
        raise Refused(Reason.ASSERTION_COUNTER)
    return Proof(
        counter=data.counter or None,
        user_verified=bool(data.flags & FLAG.UV),
        backup_state=bool(data.flags & FLAG.BS),
    )


def confirm(device: Device, answer: dict[str, Any], kept: str, site: Site, now: datetime) -> Proof:
    """The registration's proof carries the credential as columns of the device.

    The attestation statement is kept from judgement: we ask for none, and no policy asks for more.
    """
    response, credential_id = _credential(answer)
    client_data, encoded = _bytes(response, "clientDataJSON"), _bytes(response, "attestationObject")
    _check_client_data(client_data, "webauthn.create", kept, site)
    attestation = _parsed(lambda: AttestationObject(encoded))
    data = attestation.auth_data
    _check_authenticator_data(data, site.rp_id, site)
    credential = data.credential_data
    if credential is None or credential.credential_id != credential_id or len(credential_id) not in CREDENTIAL_ID_BYTES:
        raise Refused(Reason.CREDENTIAL_ID)
    if not isinstance(attestation.fmt, str) or not FORMAT.match(attestation.fmt):
        raise Refused(Reason.ASSERTION_UNREADABLE)
    _check_public_key(credential.public_key)
    if Device.objects.filter(credential_id=credential_id).exists():
        raise Refused(Reason.CREDENTIAL_TAKEN)
    columns = {
        "credential_id": credential_id,
        "public_key": cbor.encode(dict(credential.public_key)),
        "aaguid": UUID(bytes=bytes(credential.aaguid)),
        "transports": _transports(response),
        "rp_id": site.rp_id,
        "backup_eligible": bool(data.flags & FLAG.BE),
        "backup_state": bool(data.flags & FLAG.BS),
        "attestation": attestation.fmt,
    }
    return Proof(counter=data.counter, user_verified=bool(data.flags & FLAG.UV), columns=columns)


def facts(device: Device, proof: Proof) -> Facts:
    """Phishing-resistant; hardware where the key cannot leave it, software where it is synced."""
    kept_in = "swk" if device.backup_eligible else "hwk"
    return Facts((kept_in, "user") if proof.user_verified else (kept_in,), ACR)


spend, can_resync, resync = spend_counter, never, no_resync


def suggested_name(proof: Proof) -> str:
    """The model's name by its AAGUID, else what its transports say it is."""
    transports = set(proof.columns["transports"])
    if known := aaguids.name(proof.columns["aaguid"]):
        return known
    if "internal" in transports:
        return gettext("This device")
    return gettext("Phone") if transports & {"hybrid", "cable"} else str(TITLE)


# ---- one check each ------------------------------------------------------------------------------------------------


def _credential(answer: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The `response` member and the credential id, of a public-key credential whose `id` and `rawId` agree."""
    response, credential_id = answer.get("response"), answer.get("id")
    if type(response) is not dict or not isinstance(credential_id, str):
        raise Refused(Reason.ASSERTION_UNREADABLE)
    if answer.get("type") != "public-key":
        raise Refused(Reason.ASSERTION_TYPE)
    if answer.get("rawId", credential_id) != credential_id:
        raise Refused(Reason.CREDENTIAL_ID)
    return response, _bytes(answer, "id")


def _check_client_data(client_data: bytes, ceremony: str, kept: str, site: Site) -> None:
    said = _parsed(lambda: load(client_data))
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


def _check_user_handle(response: dict[str, Any], device: Device) -> None:
    if response.get("userHandle") in (None, ""):
        return
    if device.user is None or not secrets.compare_digest(_bytes(response, "userHandle"), bytes(device.user.user_handle)):
        raise Refused(Reason.ASSERTION_USER_HANDLE)


def _check_authenticator_data(data: AuthenticatorData, rp_id: str, site: Site) -> None:
    if data.rp_id_hash != sha256(rp_id.encode()).digest():
        raise Refused(Reason.ASSERTION_RP_ID)
    if not data.flags & FLAG.UP:
        raise Refused(Reason.ASSERTION_NO_PRESENCE)
    if site.user_verification == "required" and not data.flags & FLAG.UV:
        raise Refused(Reason.ASSERTION_NOT_VERIFIED)
    if data.flags & FLAG.BS and not data.flags & FLAG.BE:
        raise Refused(Reason.ASSERTION_BACKUP_FLAGS)


def _check_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    key = _parsed(lambda: CoseKey.parse(cast(Any, cbor.decode(public_key))))
    try:
        key.verify(message, signature)
    except InvalidSignature:
        raise Refused(Reason.ASSERTION_SIGNATURE) from None


def _check_public_key(key: CoseKey) -> None:
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


# ---- bytes ---------------------------------------------------------------------------------------------------------


def _parsed(parse: Callable[[], Any]) -> Any:
    """What the parser returns; whatever it raises (ValueError, KeyError, IndexError, RecursionError …) is one refusal."""
    try:
        return parse()
    except Exception:
        raise Refused(Reason.ASSERTION_UNREADABLE) from None


def _bytes(holder: dict[str, Any], name: str) -> bytes:
    """The member as bytes, from strict base64url without padding."""
    value: Any = holder.get(name)
    data: bytes = _parsed(lambda: base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    if _b64(data) != value:
        raise Refused(Reason.ASSERTION_UNREADABLE)
    return data


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _challenge() -> str:
    return _b64(secrets.token_bytes(32))


def _descriptor(key: Device) -> dict[str, Any]:
    """As stored, `smart-card` and unknown transports included: the library's own class would turn them into null."""
    return {"type": "public-key", "id": _b64(bytes(key.credential_id or b"")), "transports": key.transports}


def _transports(response: dict[str, Any]) -> list[str]:
    given = response.get("transports")
    if not isinstance(given, list):
        return []
    return sorted({name for name in given if isinstance(name, str) and TRANSPORT.match(name)})[:8]
