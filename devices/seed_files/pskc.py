"""PSKC containers (RFC 6030): HOTP, TOTP and YubiKey keys; plain, or encrypted with a pre-shared key, a passphrase or for a
certificate.

A signature on the container is not verified: whoever brings the file vouches for it. PIN keys are passed over, since the token
checks its PIN by itself; where somebody else would have to, the row is refused. What a key policy says and we do not know
forbids the use (section 5).
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO
from xml.etree.ElementTree import Element  # elements only; bytes go through defusedxml

from devices.seed_files import values
from devices.seed_files.pskc_keys import Opener, opener
from devices.seed_files.pskc_xml import PSKC, children
from devices.seed_files.rows import BadFile, BadRow, Row, Secret, Unusable, Why

HOTP, TOTP, PIN, YUBIKEY = f"{PSKC}:hotp", f"{PSKC}:totp", f"{PSKC}:pin", "http://www.yubico.com/#yubikey-aes"
POLICIES = {"StartDate", "ExpiryDate", "KeyUsage", "PINPolicy"}  # NumberOfTransactions we cannot keep to
PIN_ATTRIBUTES = {"PINKeyId", "PINUsageMode", "MaxFailedAttempts", "MinLength", "MaxLength", "PINEncoding"}
DATE = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?\Z")
UID = re.compile(r"(?:\A|,)\s*UID=([^,]+)", re.IGNORECASE)
CN = re.compile(r"(?:\A|,)\s*CN=([^,]+)", re.IGNORECASE)


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """The container's tokens, numbered by their packages from 1; BadFile."""
    header: dict[str, Element] = {}
    keys: Opener | None = None
    number = 0
    for child in children(file):
        if child.tag in ("EncryptionKey", "MACMethod"):
            if number or child.tag in header:  # the schema has one of each, before the packages
                raise BadFile(Why.FILE_NOT_PSKC)
            header[child.tag] = child
        elif child.tag == "KeyPackage":
            if not number:
                keys = opener(header.get("EncryptionKey"), header.get("MACMethod"), secret)
            number += 1
            yield from package(number, child, keys)


def package(number: int, element: Element, keys: Opener | None) -> Iterator[Row | BadRow]:
    """The package's token, nothing for a PIN, or its refusal."""
    found = element.findall("Key")
    name = element.findtext("DeviceInfo/SerialNo", "").strip() or (found[0].get("Id", "") if found else "")
    try:
        if len(found) != 1:
            raise Unusable(Why.SEED_MISSING if not found else Why.MALFORMED)
        if found[0].get("Algorithm") != PIN:
            yield token(number, name, element, found[0], keys)
    except Unusable as bad:
        yield BadRow(number, values.shown(name), bad.reason)


def token(number: int, name: str, element: Element, key: Element, keys: Opener | None) -> Row:
    """The package's token; Unusable. Where it names no device, the key's id is the serial."""
    serial = values.serial(name)
    algorithm = key.get("Algorithm", "")
    if algorithm not in (HOTP, TOTP, YUBIKEY):
        raise Unusable(Why.TYPE)
    check_policy(key.find("Policy"))
    begin, end = dates(element.find("DeviceInfo"), key.find("Policy"))
    model = values.model(element.findtext("DeviceInfo/Manufacturer", ""), element.findtext("DeviceInfo/Model", ""))
    seed = secret_of(key, keys)
    if algorithm == YUBIKEY:
        public_id, seed = yubikey(key, seed)
        return Row(number, serial, "yubiotp", seed, model=model, valid_from=begin, valid_until=end, public_id=public_id)
    is_totp = algorithm == TOTP
    return Row(
        number,
        serial,
        "totp" if is_totp else "hotp",
        seed,
        algorithm=values.algorithm(key.findtext("AlgorithmParameters/Suite", "") or "sha1"),
        digits=digits_of(key.find("AlgorithmParameters/ResponseFormat")),
        period=number_of(key, "TimeInterval", keys, values.period, 30) if is_totp else 30,
        counter=0 if is_totp else number_of(key, "Counter", keys, values.counter, 0),
        drift=clock_of(key, keys) if is_totp else 0,
        owner=person(key.findtext("UserId", "")),
        model=model,
        valid_from=begin,
        valid_until=end,
    )


def secret_of(key: Element, keys: Opener | None) -> bytes:
    """The key's bytes; Unusable, also where the file has only a reference to a key (figure 4)."""
    data = key.find("Data/Secret")
    found = None if data is None else value_of(data, keys)
    if not found:
        raise Unusable(Why.SEED_MISSING)
    return values.base64_bytes(found, Why.SEED_NOT_BASE64) if isinstance(found, str) else found


def value_of(data: Element, keys: Opener | None) -> str | bytes | None:
    """A plain value as its text, an encrypted one decrypted, None for neither. Not both: which would be true?"""
    plain, encrypted = data.find("PlainValue"), data.find("EncryptedValue")
    if plain is not None and encrypted is not None:
        raise Unusable(Why.MALFORMED)
    if encrypted is None:
        return None if plain is None else (plain.text or "").strip()
    if keys is None:
        raise Unusable(Why.NOT_OPENED)
    return keys.open(encrypted, data.findtext("ValueMAC"))


def number_of(key: Element, name: str, keys: Opener | None, judge: Callable[[str], int], usual: int) -> int:
    """The number in the key's Data, `usual` if there is none; encrypted it is ASCII digits or big-endian bytes."""
    data = key.find(f"Data/{name}")
    found = None if data is None else value_of(data, keys)
    if found is None:
        return usual
    if isinstance(found, bytes):
        found = found.decode() if found.isdigit() else str(int.from_bytes(found[:16], "big"))
    return judge(found)


def clock_of(key: Element, keys: Opener | None) -> int:
    """The drift in periods; Unusable where the clock begins elsewhere than in 1970."""
    if number_of(key, "Time", keys, drift, 0) != 0:
        raise Unusable(Why.CLOCK)
    return number_of(key, "TimeDrift", keys, drift, 0)


def drift(text: str) -> int:
    """Periods to either side, as far as a token can be lined up."""
    if not re.fullmatch(r"-?[0-9]{1,4}", text) or abs(int(text)) > values.MOST_DRIFT:
        raise Unusable(Why.CLOCK)
    return int(text)


def digits_of(response: Element | None) -> int:
    """The codes' length; Unusable unless they are decimal and have no check digit."""
    if response is None:
        return 6
    if response.get("Encoding") != "DECIMAL" or response.get("CheckDigits", "false").strip() not in ("false", "0"):
        raise Unusable(Why.ENCODING)
    return values.digits(response.get("Length", ""))


def check_policy(policy: Element | None) -> None:
    """The key may be used for one-time passwords by somebody who checks no PIN; Unusable."""
    if policy is None:
        return
    if {child.tag for child in policy} - POLICIES:
        raise Unusable(Why.POLICY)
    usages = [(usage.text or "").strip() for usage in policy.findall("KeyUsage")]
    if usages and "OTP" not in usages:
        raise Unusable(Why.KEY_USAGE)
    for pin in policy.findall("PINPolicy"):
        if len(pin) or set(pin.keys()) - PIN_ATTRIBUTES:
            raise Unusable(Why.POLICY)
        if pin.get("PINUsageMode", "Local") != "Local":
            raise Unusable(Why.PIN_POLICY)


def dates(*places: Element | None) -> tuple[datetime | None, datetime | None]:
    """When the use begins and ends: the latest beginning and the earliest end of those that are given."""
    begins, ends = (
        [moment(found) for place in places if place is not None and (found := place.findtext(name)) is not None]
        for name in ("StartDate", "ExpiryDate")
    )
    begin, end = max(begins, default=None), min(ends, default=None)
    if begin and end and end <= begin:
        raise Unusable(Why.DATES)
    return begin, end


def moment(text: str) -> datetime:
    """An XML date with time; in UTC where it names no zone, as RFC 6030 wants it."""
    if not DATE.match(text.strip()):
        raise Unusable(Why.DATES)
    try:
        found = datetime.fromisoformat(text.strip())
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Unusable(Why.DATES) from None


def person(text: str) -> str:
    """Whose the key is: the UID of a distinguished name (RFC 4514), or the text as it is."""
    found = UID.search(text)
    return values.owner(found[1] if found else text)


def yubikey(key: Element, seed: bytes) -> tuple[str, bytes]:
    """Public id and secret, from a user id `CN=<public id>, UID=<private id>` (draft-josefsson-keyprov-pskc-yubikey)."""
    text = key.findtext("UserId", "")
    public_id, private_id = CN.search(text), UID.search(text)
    return values.public_id(public_id[1] if public_id else ""), values.yubikey_secret(private_id[1] if private_id else "", seed)
