"""FIDO2 security keys: WebAuthn registration and assertion (https://www.w3.org/TR/webauthn-3/ 7.1 and 7.2).

python-fido2 parses CBOR, COSE keys and authenticator data and checks signatures. Everything that its server leaves
to the relying party is checked here and in `devices.webauthn`, one named check after the other, on the bytes
themselves: its own `authenticate_complete` takes ten times as long and accepts other origins, replays and cloned keys.
"""

import re
import secrets
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from fido2 import cbor
from fido2.webauthn import AttestationObject, AuthenticatorData

from devices import aaguids, attestation, webauthn
from devices.kinds import Ceremony, Facts, Proof, Shown, never, no_resync, spend_counter
from devices.models import Device, Kind
from mfa_site.errors import Reason, Refused
from mfa_site.site import Site

TITLE = _("Security key")
HINT = _("Plug it in or hold it close, and touch it when it blinks.")
ABOUT = _("A small key for USB, NFC or Bluetooth, your phone, or the lock of this computer.")
HEADING = _("Use your security key")
PROMPT = HINT
NUMERIC = False
ANSWER = dict
KEPT_ONCE = True
STRENGTH = 40
ACR = "phr"
STANDS_IN = False
ASKS = ()
SENDS = False
AFTERWARDS = ""

TIMEOUT_MS = 120_000  # the browser's; the challenge itself lives as long as the sign-in
CREDENTIAL_ID_BYTES = range(16, 1024)  # WebAuthn 4 and 7.1 step 25
MAX_KEYS = 64  # as many as are ever listed for exclusion
ATTESTED = " attested"  # behind a kept challenge: the key was asked to prove what it is
FORMAT = re.compile(r"\A[!-~]{1,32}\Z")  # WebAuthn 8.1
TRANSPORT = re.compile(r"\A[a-z0-9-]{1,20}\Z")
FLAG = webauthn.FLAG


def is_offered(site: Site) -> bool:
    """Anybody can add a key."""
    return True


def fill(device: Device, given: dict[str, str], site: Site) -> None:
    """Nothing: the registration brings all that there is to keep."""


def begin(device: Device, ceremony: Ceremony, site: Site, now: datetime) -> Shown:
    """Creation options for this person, who must not register a key twice; the challenge is kept, and whether the key was asked
    to prove what it is."""
    person: Any = device.user
    registered = Device.objects.filter(~Q(credential_id=None), user=person, kind=Kind.FIDO2).order_by("-id")[:MAX_KEYS]
    wanted = _challenge()
    options = {
        "rp": {"id": site.rp_id, "name": site.issuer},
        "user": {
            "id": webauthn.b64(bytes(person.user_handle)),
            "name": person.get_username()[:64],
            "displayName": person.get_full_name()[:64],
        },
        "challenge": wanted,
        "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in webauthn.ALGORITHMS],
        "timeout": TIMEOUT_MS,
        "excludeCredentials": [_descriptor(key) for key in registered],
        "authenticatorSelection": {
            "residentKey": "discouraged",
            "requireResidentKey": False,
            "userVerification": site.user_verification,
        },
        "attestation": "direct" if ceremony.attestation else "none",
    }
    return Shown({"public_key": options}, wanted + (ATTESTED if ceremony.attestation else ""))


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
    response, credential_id = webauthn.credential_of(answer)
    if credential_id != bytes(device.credential_id or b""):
        raise Refused(Reason.CREDENTIAL_UNKNOWN)
    client_data, auth_data = webauthn.bytes_of(response, "clientDataJSON"), webauthn.bytes_of(response, "authenticatorData")
    webauthn.check_client_data(client_data, "webauthn.get", kept, site)
    webauthn.check_user_handle(response, device)
    data = webauthn.parsed(lambda: AuthenticatorData(auth_data))
    webauthn.check_authenticator_data(data, device.rp_id or site.rp_id, site)
    signed = auth_data + sha256(client_data).digest()
    webauthn.check_signature(bytes(device.public_key or b""), signed, webauthn.bytes_of(response, "signature"))
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

    The attestation statement is judged where it was asked for, and whether what it proves is enough is the policy's to say.
    """
    response, credential_id = webauthn.credential_of(answer)
    client_data, encoded = webauthn.bytes_of(response, "clientDataJSON"), webauthn.bytes_of(response, "attestationObject")
    webauthn.check_client_data(client_data, "webauthn.create", kept.removesuffix(ATTESTED), site)
    said = webauthn.parsed(lambda: AttestationObject(encoded))
    data = said.auth_data
    webauthn.check_authenticator_data(data, site.rp_id, site)
    credential = data.credential_data
    if credential is None or credential.credential_id != credential_id or len(credential_id) not in CREDENTIAL_ID_BYTES:
        raise Refused(Reason.CREDENTIAL_ID)
    if not isinstance(said.fmt, str) or not FORMAT.match(said.fmt):
        raise Refused(Reason.ASSERTION_UNREADABLE)
    webauthn.check_public_key(credential.public_key)
    if Device.objects.filter(credential_id=credential_id).exists():
        raise Refused(Reason.CREDENTIAL_TAKEN)
    proven = attestation.judge(said, sha256(client_data).digest(), now) if kept.endswith(ATTESTED) else attestation.NOT_ASKED
    columns = {
        "credential_id": credential_id,
        "public_key": cbor.encode(dict(credential.public_key)),
        "aaguid": UUID(bytes=bytes(credential.aaguid)),
        "transports": _transports(response),
        "rp_id": site.rp_id,
        "backup_eligible": bool(data.flags & FLAG.BE),
        "backup_state": bool(data.flags & FLAG.BS),
        "attestation": said.fmt,
        "attested": proven.attested,
    }
    return Proof(counter=data.counter, user_verified=bool(data.flags & FLAG.UV), doubt=proven.doubt, columns=columns)


def facts(device: Device, proof: Proof) -> Facts:
    """Phishing-resistant; hardware where the key cannot leave it, software where it is synced."""
    kept_in = "swk" if device.backup_eligible else "hwk"
    return Facts((kept_in, "user") if proof.user_verified else (kept_in,), ACR)


spend, can_resync, resync = spend_counter, never, no_resync


def suggested_name(device: Device, proof: Proof) -> str:
    """The model's name by its AAGUID, else what its transports say it is."""
    transports = set(proof.columns["transports"])
    if known := aaguids.name(proof.columns["aaguid"]):
        return known
    if "internal" in transports:
        return gettext("This device")
    return gettext("Phone") if transports & {"hybrid", "cable"} else str(TITLE)


def _challenge() -> str:
    return webauthn.b64(secrets.token_bytes(32))


def _descriptor(key: Device) -> dict[str, Any]:
    """As stored, `smart-card` and unknown transports included: the library's own class would turn them into null."""
    return {"type": "public-key", "id": webauthn.b64(bytes(key.credential_id or b"")), "transports": key.transports}


def _transports(response: dict[str, Any]) -> list[str]:
    given = response.get("transports")
    if not isinstance(given, list):
        return []
    return sorted({name for name in given if isinstance(name, str) and TRANSPORT.match(name)})[:8]
