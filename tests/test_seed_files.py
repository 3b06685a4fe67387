"""Seed files: RFC 6030's own figures, what producers write, every cipher, and files that are made to do harm."""

import base64
import io
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from pskc import PSKC

from devices import seed_files
from devices.seed_files.rows import BadFile, BadRow, Row, Secret, Why

FOLDER = Path(__file__).parent / "seed_files"
SEED = b"12345678901234567890"
PRE_SHARED = Secret(key=bytes.fromhex("12345678901234567890123456789012"))
QWERTY = Secret(passphrase=b"qwerty")


def rows(data: bytes, secret: Secret = Secret(), format: str = "") -> list[Row | BadRow]:  # noqa: B008 (nothing changes it)
    return list(seed_files.read(io.BytesIO(data), format or seed_files.detect(data[: seed_files.HEAD]), secret))


def figure(name: str) -> bytes:
    return (FOLDER / f"{name}.xml").read_bytes()


def one(data: bytes, secret: Secret = Secret()) -> Row:  # noqa: B008
    [row] = rows(data, secret)
    assert isinstance(row, Row), row
    return row


def why(data: bytes, secret: Secret = Secret()) -> Why:  # noqa: B008
    """Of the only row."""
    [row] = rows(data, secret)
    assert isinstance(row, BadRow), row
    return row.why


def whole(data: bytes, secret: Secret = Secret(), format: str = "") -> Why:  # noqa: B008
    """Why the whole file is refused, in bounded time."""
    began = time.monotonic()
    with pytest.raises(BadFile) as caught:
        rows(data, secret, format)
    assert time.monotonic() - began < 3
    return caught.value.why


# ---- RFC 6030 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("rfc6030-figure3", Secret()),
        ("rfc6030-figure5", Secret()),
        ("rfc6030-figure6", PRE_SHARED),
        ("rfc6030-figure7", QWERTY),
    ],
)
def test_the_figures_open_with_the_right_keys(name: str, secret: Secret) -> None:
    row = one(figure(name), secret)
    assert (row.serial, row.kind, row.seed, row.digits, row.counter) == ("987654321", "hotp", SEED, 8, 0)
    assert row.algorithm == "sha1" and row.model in ("Manufacturer", "TokenVendorAcme")


def test_what_the_other_figures_say() -> None:
    assert why(figure("rfc6030-figure2")) is Why.SEED_SHORT, "four bytes, which nobody should use"
    assert one(figure("rfc6030-figure3")).owner == "jsmith"
    assert why(figure("rfc6030-figure4")) is Why.SEED_MISSING, "derived from a key that stays with its maker"
    assert whole(figure("rfc6030-figure8")) is Why.KEY_NEEDED
    ten = rows(figure("rfc6030-figure10"))
    assert [(row.serial, row.seed) for row in ten if isinstance(row, Row)] == [
        (serial, SEED) for serial in ("654321", "123456", "9999999", "9999999")
    ]
    assert isinstance(ten[0], Row)
    assert (ten[0].valid_from, ten[0].valid_until) == (datetime(2006, 5, 1, tzinfo=UTC), datetime(2006, 5, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    ("name", "secret", "expected"),
    [
        ("rfc6030-figure6", Secret(), Why.KEY_NEEDED),
        ("rfc6030-figure6", QWERTY, Why.KEY_NEEDED),
        ("rfc6030-figure6", Secret(key=bytes(16)), Why.WRONG_KEY),
        ("rfc6030-figure6", Secret(key=bytes(32)), Why.KEY_FORM),
        ("rfc6030-figure7", PRE_SHARED, Why.KEY_NEEDED),
        ("rfc6030-figure7", Secret(passphrase=b"QWERTY"), Why.WRONG_KEY),
    ],
)
def test_another_key_opens_nothing(name: str, secret: Secret, expected: Why) -> None:
    assert whole(figure(name), secret) is expected


def test_a_changed_value_is_found_by_its_mac_before_it_is_opened() -> None:
    data = figure("rfc6030-figure6")
    assert why(data.replace(b"Su+NvtQf", b"Su+NvtQg"), PRE_SHARED) is Why.MAC_WRONG
    assert why(data.replace(b"AAECAwQF", b"AAECAwQG"), PRE_SHARED) is Why.MAC_WRONG, "the IV"
    assert why(data.replace(b"UqGv", b"UqGw"), PRE_SHARED) is Why.MAC_WRONG, "the padding, which is not even looked at"
    without = data.replace(b"<ValueMAC>Su+NvtQfmvfJzF6bmQiJqoLRExc=\n    </ValueMAC>", b"")
    assert without != data and why(without, PRE_SHARED) is Why.MAC_MISSING
    no_method = data[: data.index(b"  <MACMethod")] + data[data.index(b"</MACMethod>") + 12 :]
    assert why(no_method, PRE_SHARED) is Why.MAC_MISSING


def test_a_file_of_a_producer() -> None:
    totp, hotp = rows(figure("feitian"))
    assert isinstance(totp, Row) and isinstance(hotp, Row)
    assert (totp.kind, totp.period, totp.digits, totp.serial) == ("totp", 60, 6, "2600215704919")
    assert totp.seed.hex() == "cd22b780fffd2d53696807ecd37f404dae39327 0".replace(" ", "")
    assert (hotp.kind, hotp.counter, hotp.model) == ("hotp", 0, "FeiTian Technology Co.,Ltd")


# ---- every cipher, by an independent writer ----------------------------------------------------------------------------


def written(setup: Callable[[PSKC], None]) -> bytes:
    """A file by python-pskc."""
    file = PSKC()
    file.add_key(
        serial="A-1", manufacturer="Maker", model="C200", id="A-1", secret=SEED, algorithm="totp", time_interval=30,
        response_length=6, response_encoding="DECIMAL",
    )  # fmt: skip
    setup(file)
    out = io.BytesIO()
    file.write(out)
    return out.getvalue()


CBC = ["aes128-cbc", "aes192-cbc", "aes256-cbc", "tripledes-cbc"]
WRAPS = ["kw-aes128", "kw-aes192", "kw-aes256"]


# cryptography has moved triple DES to where old ciphers are, and python-pskc takes it from where it was.
@pytest.mark.filterwarnings("ignore:TripleDES")
@pytest.mark.parametrize("cipher", [*CBC, *WRAPS])
def test_every_cipher_with_a_pre_shared_key(cipher: str) -> None:
    bits = next((int(size) for size in ("128", "192", "256") if size in cipher), 192)
    key = bytes(range(bits // 8))
    data = written(lambda file: file.encryption.setup_preshared_key(algorithm=cipher, key=key))
    row = one(data, Secret(key=key))
    assert (row.seed, row.serial, row.kind, row.model) == (SEED, "A-1", "totp", "Maker C200")
    other = Secret(key=bytes(range(1, bits // 8 + 1)))
    if cipher in WRAPS:  # it checks itself, value by value
        assert why(data, other) is Why.WRONG_KEY
    else:  # the key of the MAC does not open, or, once in 256 times, is another
        with pytest.raises(BadFile) as caught:
            assert why(data, other) is Why.MAC_WRONG
            raise BadFile(Why.WRONG_KEY)
        assert caught.value.why is Why.WRONG_KEY


@pytest.mark.parametrize("prf", ["hmac-sha1", "hmac-sha256", "hmac-sha512"])
def test_every_derivation(prf: str) -> None:
    data = written(lambda file: file.encryption.setup_pbkdf2("a passphrase", iterations=2000, prf=prf, key_length=16))
    assert one(data, Secret(passphrase=b"a passphrase")).seed == SEED


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OAEP_SHA256 = (
    '<xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#rsa-oaep">'
    '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
    '<xenc11:MGF xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" Algorithm="http://www.w3.org/2009/xmlenc11#mgf1sha256"/>'
    "</xenc:EncryptionMethod>"
)
RSA = {
    "rsa-1_5": (PKCS1v15(), '<xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-1_5"/>'),
    "oaep": (
        OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None),  # noqa: S303
        '<xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/>',
    ),
    "oaep sha256": (OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None), OAEP_SHA256),
}


def for_a_certificate(way: str) -> bytes:
    """The eighth figure, its value encrypted for our key."""
    padding, method = RSA[way]
    value = base64.b64encode(KEY.public_key().encrypt(SEED, padding)).decode()
    data = figure("rfc6030-figure8").decode()
    begin, end = data.index("<xenc:EncryptionMethod"), data.index("</xenc:CipherValue>")
    return (data[:begin] + f"{method}<xenc:CipherData><xenc:CipherValue>{value}" + data[end:]).encode()


@pytest.mark.parametrize("way", RSA)
def test_what_is_encrypted_for_a_certificate_opens_with_its_private_key(way: str) -> None:
    assert one(for_a_certificate(way), Secret(private_key=KEY)).seed == SEED
    assert whole(for_a_certificate(way)) is Why.KEY_NEEDED


def test_another_private_key_is_refused_in_one_word() -> None:
    other = Secret(private_key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    assert why(for_a_certificate("oaep"), other) is Why.WRONG_KEY
    # cryptography answers wrong PKCS #1 1.5 with noise, so that nobody learns anything: a seed of any length, or none.
    [row] = rows(for_a_certificate("rsa-1_5"), other)
    assert isinstance(row, BadRow) or row.seed != SEED


def test_a_content_key_that_is_wrapped_for_a_certificate() -> None:
    inner = bytes(range(16))
    data = written(lambda file: file.encryption.setup_preshared_key(algorithm="aes128-cbc", key=inner)).decode()
    padding, method = RSA["oaep"]
    value = base64.b64encode(KEY.public_key().encrypt(inner, padding)).decode()
    cipher = f"<xenc:CipherData><xenc:CipherValue>{value}</xenc:CipherValue></xenc:CipherData>"
    wrapped = f"<xenc:EncryptedKey>{method}{cipher}</xenc:EncryptedKey>"
    head = 'xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
    found = re.search("<(\\w*:?)EncryptionKey/>", data)
    assert found
    made = data.replace(found[0], f"<{found[1]}EncryptionKey {head}>{wrapped}</{found[1]}EncryptionKey>")
    assert one(made.encode(), Secret(private_key=KEY)).seed == SEED


# ---- policies ----------------------------------------------------------------------------------------------------------


def with_policy(policy: str) -> bytes:
    return figure("rfc6030-figure3").replace(b"    </Key>", f"<Policy>{policy}</Policy></Key>".encode())


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("<KeyUsage>CR</KeyUsage>", Why.USAGE),
        ('<PINPolicy PINUsageMode="Prepend"/>', Why.PIN),
        ('<PINPolicy PINUsageMode="Algorithmic"/>', Why.PIN),
        ("<NumberOfTransactions>5</NumberOfTransactions>", Why.POLICY),
        ("<Anything/>", Why.POLICY),
        ("<ExpiryDate>tomorrow</ExpiryDate>", Why.DATE),
        ("<StartDate>0001-01-01T00:00:00+14:00</StartDate>", Why.DATE),
        ("<ExpiryDate>9999-12-31T23:59:59-14:00</ExpiryDate>", Why.DATE),
    ],
)
def test_a_policy_that_does_not_let_us_is_obeyed(policy: str, expected: Why) -> None:
    assert why(with_policy(policy)) is expected


def test_a_policy_that_lets_us() -> None:
    said = "<KeyUsage>CR</KeyUsage><KeyUsage>OTP</KeyUsage><StartDate>2026-01-01T00:00:00+02:00</StartDate>"
    assert one(with_policy(said)).valid_from == datetime(2025, 12, 31, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b":hotp", b":ocra", Why.TYPE),
        (b'Encoding="DECIMAL"', b'Encoding="HEXADECIMAL"', Why.DIGITS),
        (b'Encoding="DECIMAL"', b'Encoding="DECIMAL" CheckDigits="true"', Why.DIGITS),
        (b'Length="8"', b'Length="9"', Why.DIGITS),
        (b'Length="8"', b'Length="eight"', Why.DIGITS),
        (b"<PlainValue>0</PlainValue>", b"<PlainValue>-1</PlainValue>", Why.COUNTER),
        (b"<AlgorithmParameters>", b"<AlgorithmParameters><Suite>HMAC-MD5</Suite>", Why.ALGORITHM),
        (b"987654321", b"=1+1", Why.SERIAL_FORMULA),
        (b"987654321", b"1.23E+10", Why.SERIAL_MANGLED),
        (b"MTIzNDU2", b"!!!!", Why.SEED_UNREADABLE),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_reason(old: bytes, new: bytes, expected: Why) -> None:
    data = figure("rfc6030-figure3").replace(old, new)
    assert data != figure("rfc6030-figure3") and why(data) is expected


# ---- harm --------------------------------------------------------------------------------------------------------------

OPEN = b'<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">'
BOMB = b'<!DOCTYPE k [<!ENTITY a "ha"><!ENTITY b "' + b"&a;" * 50 + b'"><!ENTITY c "' + b"&b;" * 50 + b'">]>'
LAUGHS = BOMB + OPEN + b"&c;</KeyContainer>"
OUTSIDE = b'<!DOCTYPE k [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + OPEN + b"&x;</KeyContainer>"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (OUTSIDE, Why.XML_UNSAFE),
        (LAUGHS, Why.XML_UNSAFE),
        (b'<!DOCTYPE k SYSTEM "http://127.0.0.1:1/x.dtd">' + OPEN + b"</KeyContainer>", Why.XML_UNSAFE),
        (b"<a>" * 5000, Why.FORMAT),
        (OPEN + b"<a>" * 5000, Why.TOO_LARGE),
        (OPEN + b'<KeyPackage a="' + b"x" * 3_000_000 + b'"/></KeyContainer>', Why.TOO_LARGE),
        (OPEN + b"<KeyPackage>" + b"<a/>" * 100_000 + b"</KeyPackage></KeyContainer>", Why.TOO_LARGE),
        (OPEN + b"x" * 3_000_000 + b"</KeyContainer>", Why.TOO_LARGE),
        (OPEN + b"<KeyPackage>", Why.XML),
        (OPEN.replace(b"1.0", b"2.0") + b"</KeyContainer>", Why.VERSION),
        (OPEN + b"</KeyContainer>", Why.EMPTY),
        (b"<html></html>", Why.FORMAT),
        (b'<?xml version="1.0" encoding="nonsense"?>' + OPEN + b"</KeyContainer>", Why.XML),
        (OPEN + b"\x00</KeyContainer>", Why.XML),
    ],
)
def test_xml_that_does_harm_is_refused_whole(data: bytes, expected: Why) -> None:
    assert whole(data) is expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"<IterationCount>1000<", b"<IterationCount>1000000000<", Why.ITERATIONS),
        (b"<IterationCount>1000<", b"<IterationCount>" + b"9" * 500 + b"<", Why.DERIVATION),
        (b"<IterationCount>1000<", b"<IterationCount>0<", Why.DERIVATION),
        (b"<KeyLength>16<", b"<KeyLength>1000000<", Why.DERIVATION),
        (b"#pbkdf2", b"#scrypt", Why.DERIVATION),
        (b"<PRF/>", b'<PRF Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-md5"/>', Why.DERIVATION),
        (b"#hmac-sha1", b"#hmac-md5", Why.CIPHER),
    ],
)
def test_a_derivation_that_costs_or_breaks_too_much(old: bytes, new: bytes, expected: Why) -> None:
    assert whole(figure("rfc6030-figure7").replace(old, new), QWERTY) is expected


# ---- text --------------------------------------------------------------------------------------------------------------

HEX = SEED.hex()
B32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def line(text: str) -> tuple[Any, ...]:
    row = one(text.encode())
    return row.serial, row.kind, row.algorithm, row.digits, row.period if row.kind == "totp" else row.counter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"T1,{HEX},totp,6,30", ("T1", "totp", "sha1", 6, 30)),
        (f"t1 ; {HEX.upper()} ; TOTP ; 8 ; 60 ; SHA-256", ("T1", "totp", "sha256", 8, 60)),
        (f"T1\t{HEX}\thotp\t6\t17\tsha512\r\n", ("T1", "hotp", "sha512", 6, 17)),
        (f"\ufeffserial,key,type,digits,period\n\n# a comment\nT1,{HEX},totp,6,30\n", ("T1", "totp", "sha1", 6, 30)),
        (f'"T1","{HEX}","hotp"', ("T1", "hotp", "sha1", 6, 0)),
        (
            f"upn,serial number,secret key,time interval,manufacturer,model\nada@example.org,T1,{B32},30,Token2,c202\n",
            ("T1", "totp", "sha1", 6, 30),
        ),
        (
            f"UPN;Serial Number;Secret Key;Time Interval;Manufacturer;Model;Hash Function\n;T1;{B32.lower()};60;;;hmacsha256\n",
            ("T1", "totp", "sha256", 6, 60),
        ),
        (f"otpauth://totp/Maker:T1?secret={B32}&digits=8&algorithm=SHA256&period=60", ("T1", "totp", "sha256", 8, 60)),
        (f"otpauth://hotp/T1?secret={B32}&counter=5", ("T1", "hotp", "sha1", 6, 5)),
    ],
)
def test_a_line_of_each_text_format(text: str, expected: tuple[Any, ...]) -> None:
    assert line(text) == expected
    assert one(text.encode()).seed == SEED


@pytest.mark.parametrize(
    "text",
    [
        "812312,ccccccbcjjbf,e9a1d9e0b9c1,0123456789abcdef0123456789abcdef,000000000000,2026-01-01T00:00:00,",
        "# ykksm 1\n812312,ccccccbcjjbf,e9a1d9e0b9c1,0123456789abcdef0123456789abcdef,000000000000,2026-01-01,\n",
    ],
)
def test_a_line_of_yubicos_tools(text: str) -> None:
    row = one(text.encode())
    assert (row.serial, row.kind, row.public_id) == ("812312", "yubiotp", "ccccccbcjjbf")
    assert row.seed.hex() == "e9a1d9e0b9c10123456789abcdef0123456789abcdef"


def test_the_log_of_yubicos_tool() -> None:
    text = "Yubico OTP,1/1/2026 3:24 PM,1,ccccccbcjjbf,e9a1d9e0b9c1,0123456789abcdef0123456789abcdef,,,0,0\n"
    text += f"OATH-HOTP,1/1/2026 3:24 PM,1,cccc00000001,,{HEX},,,0,0,6\n"
    otp, hotp = rows(text.encode())
    assert isinstance(otp, Row) and isinstance(hotp, Row)
    assert (otp.kind, otp.serial, hotp.kind, hotp.serial) == ("yubiotp", "CCCCCCBCJJBF", "hotp", "CCCC00000001")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f",{HEX},totp,6,30", Why.SERIAL_MISSING),
        (f"=cmd|' /C calc'!A0,{HEX},totp,6,30", Why.SERIAL_FORMULA),
        (f"@SUM(1),{HEX},totp,6,30", Why.SERIAL_FORMULA),
        (f"1.23457E+12,{HEX},totp,6,30", Why.SERIAL_MANGLED),
        (f"{'9' * 65},{HEX},totp,6,30", Why.SERIAL_TEXT),
        (f"T\u200b1,{HEX},totp,6,30", Why.SERIAL_TEXT),
        ("T1,,totp,6,30", Why.SEED_MISSING),
        ("T1,abc,totp,6,30", Why.SEED_UNREADABLE),
        ("T1,3132333435363738,totp,6,30", Why.SEED_SHORT),
        (f"T1,{'31' * 65},totp,6,30", Why.SEED_LONG),
        (f"T1,{HEX},ocra,6,30", Why.TYPE),
        (f"T1,{HEX},totp,5,30", Why.DIGITS),
        (f"T1,{HEX},totp,6,45", Why.PERIOD),
        (f"T1,{HEX},hotp,6,-1", Why.COUNTER),
        (f"T1,{HEX},hotp,6,{'9' * 19}", Why.COUNTER),
        (f"T1,{HEX},hotp,6,٣", Why.COUNTER),
        (f"T1,{HEX},totp,6,30,md5", Why.ALGORITHM),
        (f"T1,{HEX},totp,6,30,sha1,more", Why.COLUMNS),
        ("upn,serial number,secret key\nada,T1", Why.COLUMNS),
        ("upn,serial number,secret key\nada,T1,11111111111111111111", Why.SEED_UNREADABLE),
        ("otpauth://totp/T1?secret=JBSWY3DPEHPK3PXP", Why.COLUMNS),
        ("otpauth://steam/T1", Why.COLUMNS),
        ("812312,ccccccbcjjbf,e9a1d9e0b9c1,0123", Why.SEED_UNREADABLE),
    ],
)
def test_a_bad_line_is_refused_by_its_reason(text: str, expected: Why) -> None:
    head = "oath" if text[0] in ",=@T9" or text.startswith("1.2") else ""
    data = (f"serial,key\n{text}" if head else text).encode()
    assert why(data) is expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Why.FORMAT),
        (b"Dear customer,\nhere are your tokens", Why.FORMAT),
        (b"serial,key\n", Why.EMPTY),
        (b"T1," + b"31" * 20 + b",totp\nT\xe9," + b"32" * 20 + b",totp", Why.TEXT),
        (b"T1," + b"31" * 20 + b",totp\nT2\x00," + b"32" * 20 + b",totp", Why.TEXT),
        (b"T1," + b"31" * 20 + b",totp\n" + b"x" * 5000, Why.TOO_LARGE),
        (b"PK\x03\x04" + bytes(50), Why.FORMAT),
    ],
)
def test_text_that_is_no_seed_file_is_refused_whole(data: bytes, expected: Why) -> None:
    assert whole(data) is expected


def test_no_seed_is_ever_in_words() -> None:
    row = one(f"T1,{HEX},totp,6,30".encode())
    assert HEX not in repr(row) and "1234567890" not in repr(row) and "qwerty" not in repr(QWERTY)
    for reason in Why:
        assert str(reason.sentence)[0].isupper() and str(reason.sentence).endswith(".")
