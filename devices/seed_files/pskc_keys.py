"""What opens the values of a PSKC container: a pre-shared key, a passphrase (PBKDF2) or an RSA key (RFC 6030 section 6).

The key is made once for each file. A MAC is checked, in constant time, before anything is decrypted.
"""

import hmac
import re
from xml.etree.ElementTree import Element  # elements only; bytes go through defusedxml

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pskc.encryption import KeyDerivation
from pskc.exceptions import KeyDerivationError
from pskc.mac import mac

from devices.seed_files import pskc_ciphers as ciphers
from devices.seed_files.rows import BadFile, Secret, Unusable, Why
from devices.seed_files.values import base64_bytes

# OWASP asks for 1.4 million with SHA-1 (2026); two million take about two seconds, and a file must not take us for longer.
MOST_ITERATIONS = 2_000_000
KEY_LENGTHS = (16, 24, 32)
PRFS = re.compile(r"#hmac-(sha1|sha224|sha256|sha384|sha512)\Z")


class Opener:
    """Opens the encrypted values of one file: `key` for symmetric algorithms, `private_key` for RSA, `mac_key` for MACs."""

    def __init__(self, key: bytes = b"", private_key: RSAPrivateKey | None = None) -> None:
        self.key, self.private_key = key, private_key
        self.mac_algorithm, self.mac_key = "", key

    def open(self, value: Element, expected: str | None) -> bytes:
        """The EncryptedValue in clear; `expected` is its ValueMAC. Unusable."""
        algorithm, ciphertext = method_of(value), ciphertext_of(value)
        if expected is not None:
            self._check(ciphertext, base64_bytes(expected, Why.MAC_WRONG))
        elif ciphers.needs_mac(algorithm):
            raise Unusable(Why.MAC_MISSING)
        return self.decrypted(value, algorithm, ciphertext)

    def _check(self, ciphertext: bytes, expected: bytes) -> None:
        if not self.mac_algorithm or not self.mac_key:
            raise Unusable(Why.MAC_MISSING)
        if not hmac.compare_digest(mac(self.mac_algorithm, self.mac_key, ciphertext), expected):
            raise Unusable(Why.MAC_WRONG)

    def decrypted(self, value: Element, algorithm: str, ciphertext: bytes) -> bytes:
        """The ciphertext in clear, whoever vouches for it; Unusable."""
        if self.private_key is not None and (algorithm in ciphers.RSA_1_5 or algorithm in ciphers.OAEP):
            digest, mask = (attribute(value, f"EncryptionMethod/{name}") for name in ("DigestMethod", "MGF"))
            label = base64_bytes(value.findtext("EncryptionMethod/OAEPparams", ""), Why.CIPHERTEXT)
            return ciphers.asymmetric(algorithm, digest, mask, label, self.private_key, ciphertext)
        return ciphers.symmetric(algorithm, self.key, ciphertext)


def opener(encryption: Element | None, mac_method: Element | None, secret: Secret) -> Opener | None:
    """What opens this file's values, None where nothing is encrypted; BadFile if the secret does not fit."""
    if encryption is None:  # some producers leave it out where the key has no name
        encryption = Element("EncryptionKey")
        if not secret.key:
            return None
    derived = encryption.find("DerivedKey")
    if derived is not None:
        found = Opener(derived_key(derived, secret))
    elif encryption.find("X509Data") is not None or encryption.find("EncryptedKey") is not None:
        found = by_certificate(encryption, secret)
    else:
        found = Opener(pre_shared(secret))
    if mac_method is not None:
        take_mac_key(found, mac_method)
    return found


def pre_shared(secret: Secret) -> bytes:
    """The key that was given in hexadecimal."""
    if not secret.key:
        raise BadFile(Why.KEY_NEEDED)
    try:
        key = bytes.fromhex(secret.key)
    except ValueError:
        key = b""
    if len(key) not in KEY_LENGTHS:
        raise BadFile(Why.KEY_UNREADABLE)
    return key


def derived_key(derived: Element, secret: Secret) -> bytes:
    """The key that PBKDF2 makes of the passphrase (RFC 6030 6.2)."""
    if not secret.passphrase:
        raise BadFile(Why.PASSPHRASE_NEEDED)
    method = derived.find("KeyDerivationMethod")
    found = None if method is None else method.find("PBKDF2-params")
    if method is None or found is None or not method.get("Algorithm", "").endswith("#pbkdf2"):
        raise BadFile(Why.DERIVATION)
    derivation = KeyDerivation()
    derivation.pbkdf2_iterations = number(found, "IterationCount", Why.ITERATIONS)
    derivation.pbkdf2_key_length = number(found, "KeyLength", Why.DERIVATION)
    prf = attribute(found, "PRF") or found.findtext("PRF", "").strip()  # the latter is how python-pskc 1.4 writes it
    if not 1 <= derivation.pbkdf2_iterations <= MOST_ITERATIONS:
        raise BadFile(Why.ITERATIONS)
    if derivation.pbkdf2_key_length not in KEY_LENGTHS or (prf and not PRFS.search(prf)):
        raise BadFile(Why.DERIVATION)
    derivation.pbkdf2_prf = prf or None  # HMAC-SHA-1, by PKCS #5
    try:
        derivation.pbkdf2_salt = base64_bytes(found.findtext("Salt/Specified", ""), Why.DERIVATION)
        return derivation.derive_pbkdf2(secret.passphrase)
    except (Unusable, KeyDerivationError):
        raise BadFile(Why.DERIVATION) from None


def number(parent: Element, name: str, why: Why) -> int:
    """The element's number; BadFile for `why` if it is none of at most ten digits."""
    text = parent.findtext(name, "").strip()
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise BadFile(why)
    return int(text)


def by_certificate(encryption: Element, secret: Secret) -> Opener:
    """The RSA key for the container's certificate, and the content key where that is wrapped in an EncryptedKey (6.3)."""
    if not secret.private_key:
        raise BadFile(Why.PRIVATE_KEY_NEEDED)
    try:
        private_key = load_pem_private_key(secret.private_key, password=None)
    except (ValueError, TypeError):
        raise BadFile(Why.PRIVATE_KEY_UNREADABLE) from None
    if not isinstance(private_key, RSAPrivateKey):
        raise BadFile(Why.PRIVATE_KEY_UNREADABLE)
    certificates = [element.text or "" for element in encryption.iter("X509Certificate")]
    if certificates and not any(is_for(private_key, text) for text in certificates):
        raise BadFile(Why.CERTIFICATE)
    found = Opener(private_key=private_key)
    wrapped = encryption.find("EncryptedKey")
    if wrapped is not None:
        try:
            found.key = found.mac_key = found.decrypted(wrapped, method_of(wrapped), ciphertext_of(wrapped))
        except Unusable:
            raise BadFile(Why.KEY_WRONG) from None
    return found


def is_for(private_key: RSAPrivateKey, certificate: str) -> bool:
    """Whether the certificate, DER in base64, is of this key. Its dates and its issuer are not looked at: it only says for whom
    the file is."""
    try:
        there = x509.load_der_x509_certificate(base64_bytes(certificate, Why.CERTIFICATE)).public_key()
    except (ValueError, Unusable):
        return False
    return there == private_key.public_key()


def take_mac_key(opener: Opener, mac_method: Element) -> None:
    """The file's MAC algorithm and key are the opener's; without a MACKey it is the encryption key (6.1.1)."""
    opener.mac_algorithm = mac_method.get("Algorithm", "")
    if opener.mac_algorithm not in ciphers.MACS:
        raise BadFile(Why.FILE_MAC)
    key = mac_method.find("MACKey")
    if key is None:
        return
    try:
        opener.mac_key = opener.decrypted(key, method_of(key), ciphertext_of(key))
    except Unusable as bad:
        raise BadFile(Why.KEY_WRONG if bad.reason is Why.NOT_OPENED else Why.FILE_MAC) from None


def method_of(value: Element) -> str:
    """The URI of its encryption algorithm."""
    return attribute(value, "EncryptionMethod")


def attribute(parent: Element, path: str) -> str:
    """The Algorithm of the element there; empty if it has none."""
    found = parent.find(path)
    return "" if found is None else found.get("Algorithm", "").strip()


def ciphertext_of(value: Element) -> bytes:
    """Its bytes, the initialisation vector among them; Unusable."""
    found = base64_bytes(value.findtext("CipherData/CipherValue", ""), Why.CIPHERTEXT)
    if not found:
        raise Unusable(Why.CIPHERTEXT)
    return found
