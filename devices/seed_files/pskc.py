"""PSKC (RFC 6030): XML, read package by package by a parser that takes no document type, no entities, nothing from outside.

Encrypted values are checked by their MAC before they are opened (`devices.seed_files.pskc_keys`). A signature over the file is
not verified: whom it is from is for the way to say on which it came. Packages that hold the PIN of another key are passed over.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from devices.models import Kind
from devices.seed_files.elements import at, base64_of, local, text
from devices.seed_files.pskc_keys import Keys
from devices.seed_files.rows import BadFile, BadRow, RefusedRow, Row, Secret, Why, algorithm_of, each, serial_of, whole

DEEPEST = 24  # elements inside each other; a package has about ten
MOST_ELEMENTS = 500  # of one package; it has about thirty
LONGEST_PART = 1024 * 1024  # bytes between two packages
KINDS = {"hotp": Kind.HOTP, "totp": Kind.TOTP}
POLICY = {"StartDate", "ExpiryDate", "PINPolicy", "KeyUsage"}
WITHOUT_PIN = ("", "local")  # a PIN that the device itself asks for is no part of the code


class Bounded:
    """The file, as far as it goes on in parts of a bearable size."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.since = file, 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes; BadFile where a part has grown too large."""
        data = self.file.read(min(size, 65536) if size >= 0 else 65536)
        self.since += len(data)
        if self.since > LONGEST_PART:
            raise BadFile(Why.TOO_LARGE)
        return data


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """A row for each package, in flat memory; BadFile for XML that is broken or unsafe, and where the key does not fit."""
    keys = Keys(secret)
    return each(enumerate(packages(file, keys), 1), lambda number, package: row_of(number, package, keys))


def packages(file: BinaryIO, keys: Keys) -> Iterator[Element]:
    """Each KeyPackage; `keys` learns meanwhile what the file says of its keys."""
    bounded = Bounded(file)
    try:
        yield from _packages(bounded, keys)
    except DefusedXmlException:
        raise BadFile(Why.XML_UNSAFE) from None
    except (ParseError, UnicodeError, LookupError, RecursionError):
        raise BadFile(Why.XML) from None


def _packages(bounded: Bounded, keys: Keys) -> Iterator[Element]:
    path: list[Element] = []
    count = 0
    for event, element in iterparse(bounded, ("start", "end"), forbid_dtd=True):
        if event == "start":
            path.append(element)
            count += 1
            if len(path) > DEEPEST or count > MOST_ELEMENTS:
                raise BadFile(Why.TOO_LARGE)
            if len(path) == 1 and (local(element) != "KeyContainer" or element.get("Version", "1.0") not in ("1", "1.0")):
                raise BadFile(Why.VERSION if local(element) == "KeyContainer" else Why.FORMAT)
            continue
        path.pop()
        if len(path) != 1:
            continue
        name = local(element)
        if name == "KeyPackage":
            yield element
        elif name in ("EncryptionKey", "MACMethod"):
            keys.learn(name, element)
        # What was read is let go, by the file's element too: memory stays flat.
        path[0].clear()
        bounded.since = count = 0


def row_of(number: int, package: Element, keys: Keys) -> Row | None:
    """The token of this package; None for the PIN of another. RefusedRow says why not."""
    key = at(package, "Key")
    key = package if key is None else key
    serial = serial_of(text(package, "DeviceInfo", "SerialNo") or key.get("Id", ""))
    name = re.split("[:#]", key.get("Algorithm", "").strip().lower())[-1]
    if name == "pin":
        return None
    try:
        return token(number, serial, name, package, key, keys)
    except RefusedRow as refused:
        raise RefusedRow(refused.why, serial) from None


def token(number: int, serial: str, name: str, package: Element, key: Element, keys: Keys) -> Row:
    """The same, by its algorithm's name."""
    kind = KINDS.get(name)
    if kind is None or at(key, "AlgorithmParameters", "ChallengeFormat") is not None:
        raise RefusedRow(Why.TYPE)
    form = at(key, "AlgorithmParameters", "ResponseFormat")
    said: dict[str, str] = {} if form is None else dict(form.attrib)
    check = said.get("CheckDigits", said.get("CheckDigit", "false")).lower()
    if said.get("Encoding", "DECIMAL").upper() != "DECIMAL" or check not in ("false", "0"):
        raise RefusedRow(Why.DIGITS)
    begins, ends = policy(package, key)
    maker, model = text(package, "DeviceInfo", "Manufacturer"), text(package, "DeviceInfo", "Model")
    owner = text(key, "UserId") or text(package, "DeviceInfo", "UserId")
    return Row(
        number,
        serial,
        kind,
        keys.value(at(key, "Data", "Secret"), plain=base64_of) or b"",
        algorithm_of(text(key, "AlgorithmParameters", "Suite")),
        whole(said.get("Length", ""), Why.DIGITS, 6),
        number_in(keys, at(key, "Data", "TimeInterval"), Why.PERIOD, 30),
        number_in(keys, at(key, "Data", "Counter"), Why.COUNTER, 0),
        owner_of(owner),
        " ".join(filter(None, (maker, model)))[:100],
        valid_from=begins,
        valid_until=ends,
    )


def number_in(keys: Keys, holder: Element | None, why: Why, default: int) -> int:
    """The number in this element, plain or encrypted (then bytes, the highest first)."""
    value = keys.value(holder, plain=lambda said: whole(said, why, default))
    return int.from_bytes(value[:8], "big") if isinstance(value, bytes) else default if value is None else value


def policy(package: Element, key: Element) -> tuple[datetime | None, datetime | None]:
    """From when and until when the token may be used; RefusedRow where its policy allows no one-time passwords, or says what
    is not known here (RFC 6030 section 5: then it must not be used)."""
    found = at(key, "Policy")
    told: list[Element] = [] if found is None else list(found)
    if {local(part) for part in told} - POLICY:
        raise RefusedRow(Why.POLICY)
    uses = [(part.text or "").strip().upper() for part in told if local(part) == "KeyUsage"]
    if uses and "OTP" not in uses:
        raise RefusedRow(Why.USAGE)
    if any(local(part) == "PINPolicy" and part.get("PINUsageMode", "").lower() not in WITHOUT_PIN for part in told):
        raise RefusedRow(Why.PIN)
    info = at(package, "DeviceInfo")
    both = [*told, *([] if info is None else info)]
    begins = [date_of(part) for part in both if local(part) == "StartDate"]
    ends = [date_of(part) for part in both if local(part) == "ExpiryDate"]
    return max(begins, default=None), min(ends, default=None)


def date_of(element: Element) -> datetime:
    """An xsd:dateTime, in UTC where it names no zone; RefusedRow for anything else."""
    said = (element.text or "").strip()
    try:
        if len(said) > 40:
            raise ValueError
        moment = datetime.fromisoformat(said)
        if not 1970 <= moment.year <= 9000:  # what no database or time zone trips over
            raise ValueError
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        raise RefusedRow(Why.DATE) from None


def owner_of(said: str) -> str:
    """The name in a distinguished name's UID or CN, or the text itself; nothing where the name is of something else."""
    if "=" not in said:
        return said
    found = re.search(r"(?i)(?:^|,)\s*(?:UID|CN)\s*=\s*([^,]+)", said)
    return found[1].strip() if found else ""
