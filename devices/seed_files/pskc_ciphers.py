"""The algorithms of PSKC (RFC 6030 section 6) by their URIs. python-pskc unwraps keys, computes MACs and derives keys.

CBC is undone here: python-pskc wants PKCS #7 padding, where XML Encryption 5.2 lets the bytes before the last be any.
"""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from pskc.encryption import decrypt
from pskc.exceptions import PSKCError

from devices.seed_files.rows import Unusable, Why

XENC, XENC11 = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2009/xmlenc11#"
DSIG, DSIG_MORE = "http://www.w3.org/2000/09/xmldsig#", "http://www.w3.org/2001/04/xmldsig-more#"

CBC_KEYS = {XENC + "aes128-cbc": 16, XENC + "aes192-cbc": 24, XENC + "aes256-cbc": 32, XENC + "tripledes-cbc": 24}
WRAPS = {XENC + name: XENC + name for name in ("kw-aes128", "kw-aes192", "kw-aes256")} | {
    f"{XENC11}kw-aes-{bits}-pad": f"{XENC}kw-aes{bits}"
    for bits in (128, 192, 256)  # python-pskc sees which padding it is
}
RSA_1_5 = {XENC + "rsa-1_5", XENC + "rsa_1_5"}  # the second is how figure 8 of RFC 6030 spells it
OAEP = {XENC + "rsa-oaep-mgf1p", XENC11 + "rsa-oaep"}
HASHES: dict[str, type[HashAlgorithm]] = {
    DSIG + "sha1": SHA1,
    XENC + "sha256": SHA256,
    DSIG_MORE + "sha384": SHA384,
    XENC + "sha512": SHA512,
    XENC11 + "mgf1sha1": SHA1,
    XENC11 + "mgf1sha256": SHA256,
    XENC11 + "mgf1sha384": SHA384,
    XENC11 + "mgf1sha512": SHA512,
}
MACS = {
    DSIG + "hmac-sha1": "sha1",
    DSIG_MORE + "hmac-sha256": "sha256",
    DSIG_MORE + "hmac-sha384": "sha384",
    DSIG_MORE + "hmac-sha512": "sha512",
}


def needs_mac(algorithm: str) -> bool:
    """Whether the algorithm notices no change by itself, so that RFC 6030 6.1.1 wants a MAC with it."""
    return algorithm in CBC_KEYS


def symmetric(algorithm: str, key: bytes, ciphertext: bytes) -> bytes:
    """The value in clear; Unusable, without saying which byte was wrong."""
    try:
        if algorithm in WRAPS:
            return decrypt(WRAPS[algorithm], key, ciphertext)
        if algorithm not in CBC_KEYS:
            raise Unusable(Why.CIPHER)
        return _cbc(algorithm, key, ciphertext)
    except (PSKCError, ValueError):
        raise Unusable(Why.NOT_OPENED) from None


def _cbc(algorithm: str, key: bytes, ciphertext: bytes) -> bytes:
    if len(key) != CBC_KEYS[algorithm]:
        raise ValueError("a key of another length")
    cipher = TripleDES(key) if algorithm.endswith("tripledes-cbc") else AES(key)
    block = cipher.block_size // 8
    if len(ciphertext) < 2 * block:
        raise ValueError("nothing after the initialisation vector")
    decryptor = Cipher(cipher, CBC(ciphertext[:block])).decryptor()
    padded = decryptor.update(ciphertext[block:]) + decryptor.finalize()
    if not 1 <= padded[-1] <= block:
        raise ValueError("no padding")
    return padded[: -padded[-1]]


def asymmetric(algorithm: str, digest: str, mask: str, label: bytes, key: RSAPrivateKey, ciphertext: bytes) -> bytes:
    """The value in clear; one and the same Unusable for whatever is wrong with it.

    With RSA 1.5 a wrong ciphertext may open to random bytes (implicit rejection, against Bleichenbacher's oracle): only a MAC
    or the token's first code tells.
    """
    try:
        if algorithm in RSA_1_5:
            return key.decrypt(ciphertext, padding.PKCS1v15())
        if algorithm not in OAEP:
            raise Unusable(Why.CIPHER)
        hashed, masked = HASHES[digest or DSIG + "sha1"], HASHES[mask or XENC11 + "mgf1sha1"]
        return key.decrypt(ciphertext, padding.OAEP(padding.MGF1(masked()), hashed(), label or None))
    except KeyError:
        raise Unusable(Why.CIPHER) from None
    except ValueError:
        raise Unusable(Why.NOT_OPENED) from None
