"""The keys of a PSKC file (RFC 6030 section 6) and the values that they open: with a pre-shared key, a passphrase (PBKDF2) or
an X.509 key. The ciphers are python-pskc's and `cryptography`'s."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from pskc.encryption import algorithm_key_lengths, decrypt
from pskc.exceptions import DecryptionError
from pskc.mac import mac

from devices.seed_files.elements import at, base64_of
from devices.seed_files.rows import BadFile, RefusedRow, Secret, Why

MOST_ITERATIONS = 1_000_000  # half a second; OWASP asks for 600,000 (SHA-256), and a file could ask for a year
MOST_SALT = 1024
DERIVED_BYTES = (16, 24, 32)
PRFS = {"hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"}
MACS = PRFS
HASHES: dict[str, type[HashAlgorithm]] = {"sha1": SHA1, "sha256": SHA256, "sha384": SHA384, "sha512": SHA512}
WRAPS = ("kw-aes128", "kw-aes192", "kw-aes256", "kw-tripledes")  # they carry a check of their own
CIPHERS = (*WRAPS, "aes128-cbc", "aes192-cbc", "aes256-cbc", "tripledes-cbc")


class Keys:
    """What the file has said of its keys, and the secret that its owner gave."""

    def __init__(self, secret: Secret) -> None:
        self.secret = secret
        self.key: bytes | None = secret.key
        self.mac_algorithm, self.mac_key = "", b""
        self.by_certificate = False

    def learn(self, name: str, element: Element) -> None:
        """The file's EncryptionKey or MACMethod; BadFile where the secret is not of the kind that it asks for."""
        if name == "EncryptionKey":
            self.key = self._encryption_key(element)
            return
        self.mac_algorithm = _name(element.get("Algorithm", ""))
        if not self.mac_algorithm:
            return  # where the cipher checks itself, some write a method without naming one
        if self.mac_algorithm not in MACS:
            raise BadFile(Why.CIPHER)
        holder = at(element, "MACKey")
        try:
            self.mac_key = self._opened(holder) if holder is not None else self.key or b""
        except RefusedRow as refused:
            raise BadFile(refused.why) from None

    def value(self, holder: Element | None, plain: Callable[[str], Any]) -> Any:
        """What is in a PlainValue, as `plain` reads it, or the bytes of an EncryptedValue; None where there is neither.

        The MAC is checked before anything is opened; RefusedRow where it is wrong, or missing though the cipher needs one.
        """
        if holder is None:
            return None
        clear, sealed = at(holder, "PlainValue"), at(holder, "EncryptedValue")
        if sealed is None:
            return None if clear is None else plain(clear.text or "")
        self._check(sealed, at(holder, "ValueMAC"))
        return self._opened(sealed)

    def _check(self, sealed: Element, given: Element | None) -> None:
        if given is None:
            if _method(sealed) in WRAPS or _method(sealed).startswith("rsa"):
                return
            raise RefusedRow(Why.MAC_MISSING)
        if not self.mac_key:
            raise RefusedRow(Why.MAC_MISSING)
        expected = mac(self.mac_algorithm, self.mac_key, _cipher_value(sealed))
        if not hmac.compare_digest(expected, base64_of(given.text or "")):
            raise RefusedRow(Why.MAC_WRONG)

    def _opened(self, sealed: Element) -> bytes:
        method, value = _method(sealed), _cipher_value(sealed)
        if method.startswith("rsa"):
            return self._by_private_key(sealed, value)
        if method not in CIPHERS:
            raise RefusedRow(Why.CIPHER)
        if self.key is None:
            raise BadFile(Why.KEY_NEEDED)
        if len(self.key) not in algorithm_key_lengths(f"#{method}"):
            raise BadFile(Why.KEY_FORM)
        try:
            return decrypt(f"#{method}", self.key, value)
        except (DecryptionError, ValueError):
            raise RefusedRow(Why.WRONG_KEY) from None

    def _encryption_key(self, element: Element) -> bytes | None:
        derived, wrapped = at(element, "DerivedKey"), at(element, "EncryptedKey")
        if derived is not None:
            return self._derived(derived)
        if wrapped is not None:
            try:
                return self._opened(wrapped)
            except RefusedRow as refused:
                raise BadFile(refused.why) from None
        if at(element, "X509Data") is not None:
            if self.secret.private_key is None:
                raise BadFile(Why.KEY_NEEDED)
            return None
        if self.secret.key is None:
            raise BadFile(Why.KEY_NEEDED)
        return self.secret.key

    def _derived(self, element: Element) -> bytes:
        """PBKDF2 (RFC 8018) of the passphrase, once a file, with a limit on what it may cost."""
        method = at(element, "KeyDerivationMethod")
        told = None if method is None else at(method, "PBKDF2-params")
        if method is None or told is None or _name(method.get("Algorithm", "")) != "pbkdf2":
            raise BadFile(Why.DERIVATION)
        salt, prf = at(told, "Salt", "Specified"), at(told, "PRF")
        count, length = _number(at(told, "IterationCount")), _number(at(told, "KeyLength"))
        said = "" if prf is None else prf.get("Algorithm", "") or prf.text or ""  # some write it between the tags
        name = _name(said) or "hmac-sha1"
        value = base64_of(salt.text or "") if salt is not None else b""
        if not value or len(value) > MOST_SALT or count < 1 or name not in PRFS or length not in DERIVED_BYTES:
            raise BadFile(Why.DERIVATION)
        if count > MOST_ITERATIONS:
            raise BadFile(Why.ITERATIONS)
        if self.secret.passphrase is None:
            raise BadFile(Why.KEY_NEEDED)
        return hashlib.pbkdf2_hmac(name.removeprefix("hmac-"), self.secret.passphrase, value, count, length)

    def _by_private_key(self, sealed: Element, value: bytes) -> bytes:
        """RSA: PKCS #1 1.5 or OAEP. One reason for whatever is wrong, so that nobody can ask the key about other values."""
        if self.secret.private_key is None:
            raise BadFile(Why.KEY_NEEDED)
        method = at(sealed, "EncryptionMethod")
        assert method is not None
        padding: Any = PKCS1v15()
        if "oaep" in _method(sealed):
            padding = OAEP(mgf=MGF1(_hash(method, "MGF")()), algorithm=_hash(method, "DigestMethod")(), label=None)
        try:
            return self.secret.private_key.decrypt(value, padding)
        except ValueError:
            raise RefusedRow(Why.WRONG_KEY) from None


def _hash(method: Element, name: str) -> type[HashAlgorithm]:
    found = at(method, name)
    said = _name(found.get("Algorithm", "")) if found is not None else "sha1"
    known = HASHES.get(said.removeprefix("mgf1"))
    if known is None:
        raise RefusedRow(Why.CIPHER)
    return known


def _method(sealed: Element) -> str:
    method = at(sealed, "EncryptionMethod")
    if method is None:
        raise RefusedRow(Why.CIPHER)
    return _name(method.get("Algorithm", ""))


def _cipher_value(sealed: Element) -> bytes:
    found = at(sealed, "CipherData", "CipherValue")
    return base64_of(found.text or "") if found is not None else b""


def _name(algorithm: str) -> str:
    """The name in an algorithm's URI."""
    return algorithm.strip().lower().rpartition("#")[2]


def _number(element: Element | None) -> int:
    said = "" if element is None else (element.text or "").strip()
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 12 else 0
