"""Seed files as producers write them, with real encryption."""

import base64
import hmac
import os
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.x509.oid import NameOID
from pskc import PSKC

XENC, XENC11 = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2009/xmlenc11#"
ROOT = (
    '<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
    ' xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:xenc11="http://www.w3.org/2009/xmlenc11#">'
)
HOTP = "urn:ietf:params:xml:ns:keyprov:pskc:hotp"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def seed(number: int) -> bytes:
    """Twenty bytes, others for each number."""
    return hmac.digest(b"seeds of the tests", str(number).encode(), "sha1")


def by_python_pskc(number: int = 3) -> PSKC:
    """A container of TOTP tokens, to be encrypted and written."""
    container = PSKC()
    for index in range(number):
        container.add_key(
            id=f"K{index}",
            serial=f"S{index}",
            algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp",
            secret=seed(index),
            time_interval=60,
            response_length=8,
            response_encoding="DECIMAL",
            manufacturer="Acme",
            model="T1",
        )
    return container


def package(secret: str, serial: str = "S1", *, key: str = "", data: str = "", info: str = "", algorithm: str = HOTP) -> str:
    """A KeyPackage with what stands in its Secret, and more in its Key, its Data and its DeviceInfo."""
    return (
        f"<KeyPackage><DeviceInfo><SerialNo>{serial}</SerialNo>{info}</DeviceInfo>"
        f'<Key Id="{serial}" Algorithm="{algorithm}">{key or DECIMAL}'
        f"<Data><Secret>{secret}</Secret>{data}</Data></Key></KeyPackage>"
    )


DECIMAL = '<AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters>'


def plain(number: int = 1, serial: str = "S1", **more: str) -> str:
    """A package that is not encrypted."""
    return package(f"<PlainValue>{b64(seed(number))}</PlainValue>", serial, **more)


def container(*parts: str) -> bytes:
    return (ROOT + "".join(parts) + "</KeyContainer>").encode()


def encrypted(algorithm: str, ciphertext: bytes, method: str = "", mac: bytes | None = None) -> str:
    """The content of a Secret."""
    value_mac = "" if mac is None else f"<ValueMAC>{b64(mac)}</ValueMAC>"
    return f"<EncryptedValue>{cipher_data(algorithm, ciphertext, method)}</EncryptedValue>{value_mac}"


def cipher_data(algorithm: str, ciphertext: bytes, method: str = "") -> str:
    return (
        f'<xenc:EncryptionMethod Algorithm="{algorithm}">{method}</xenc:EncryptionMethod>'
        f"<xenc:CipherData><xenc:CipherValue>{b64(ciphertext)}</xenc:CipherValue></xenc:CipherData>"
    )


def mac_method(algorithm: str, ciphertext: bytes, uri: str = "http://www.w3.org/2000/09/xmldsig#hmac-sha1") -> str:
    return f'<MACMethod Algorithm="{uri}"><MACKey>{cipher_data(algorithm, ciphertext)}</MACKey></MACMethod>'


def cbc(key: bytes, clear: bytes, cipher: type[AES] | type[TripleDES] = AES) -> bytes:
    """CBC with the padding of XML Encryption, whose bytes before the last are random."""
    block = cipher(key).block_size // 8
    vector, fill = os.urandom(block), block - len(clear) % block
    padded = clear + os.urandom(fill - 1) + bytes([fill])
    encryptor = Cipher(cipher(key), CBC(vector)).encryptor()
    return vector + encryptor.update(padded) + encryptor.finalize()


class Recipient:
    """An RSA key with its certificate."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stock room")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(name, name, self.key.public_key(), 1, now, now + timedelta(days=1))
        self.certificate = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def encryption_key(self, more: str = "") -> str:
        data = f"<ds:X509Data><ds:X509Certificate>{b64(self.certificate)}</ds:X509Certificate></ds:X509Data>"
        return f"<EncryptionKey>{data}{more}</EncryptionKey>"

    def rsa_1_5(self, clear: bytes) -> bytes:
        return self.key.public_key().encrypt(clear, padding.PKCS1v15())

    def oaep(self, clear: bytes, digest: type[hashes.HashAlgorithm] = hashes.SHA1, label: bytes | None = None) -> bytes:
        return self.key.public_key().encrypt(clear, padding.OAEP(padding.MGF1(digest()), digest(), label))
