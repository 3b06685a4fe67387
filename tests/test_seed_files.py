"""Seed files: the figures of RFC 6030, files of other producers' making, and what has to be refused."""

import base64
import hmac
import io
import os
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from pskc import PSKC

from devices import seed_files
from devices.seed_files import BadFile, BadRow, Row, Secret, Why
from tests import seed_writer as write
from tests.seed_writer import Recipient, container, package, plain, seed

FOLDER = Path(__file__).parent / "seed_files"
DIGITS = b"12345678901234567890"  # the key of most figures
PSK = "12345678901234567890123456789012"
FIGURE_6, FIGURE_7 = Secret(key=PSK), Secret(passphrase="qwerty")
AES_CBC = write.XENC + "aes128-cbc"


@pytest.fixture(scope="module")
def recipient() -> Recipient:
    return Recipient()


def read(raw: bytes, secret: Secret | None = None, file_format: str = "") -> list[Row | BadRow]:
    """Everything in it, in the format that is detected."""
    found = file_format or seed_files.detect(raw[: seed_files.HEAD])
    return list(seed_files.read(io.BytesIO(raw), found, secret or Secret()))


def only(raw: bytes, secret: Secret | None = None, file_format: str = "") -> Row:
    """Its one token."""
    (row,) = read(raw, secret, file_format)
    assert isinstance(row, Row), row
    return row


def bad(raw: bytes, secret: Secret | None = None, file_format: str = "") -> Why:
    """Why its one row, or the file, is refused."""
    try:
        (row,) = read(raw, secret, file_format)
    except BadFile as refused:
        return refused.reason
    assert isinstance(row, BadRow), row
    return row.reason


# ---- RFC 6030 --------------------------------------------------------------------------------------------------------


def figure(number: int) -> bytes:
    return (FOLDER / f"rfc6030-figure{number}.xml").read_bytes()


@pytest.mark.parametrize(
    ("number", "secret", "expected", "digits", "key"),
    [
        (2, None, "12345678", 6, b"1234"),
        (3, None, "987654321", 8, DIGITS),
        (5, None, "987654321", 8, DIGITS),
        (6, FIGURE_6, "987654321", 8, DIGITS),
        (7, FIGURE_7, "987654321", 8, DIGITS),
        (9, None, "0755225266", 6, DIGITS),
    ],
)
def test_the_figures_of_rfc_6030_are_read_with_the_right_keys(
    number: int, secret: Secret | None, expected: str, digits: int, key: bytes
) -> None:
    row = only(figure(number), secret)
    assert (row.serial, row.kind, row.digits, row.counter, row.seed) == (expected, "hotp", digits, 0, key)


def test_figure_3_names_the_person_and_figure_4_has_no_key() -> None:
    assert only(figure(3)).owner == "jsmith"
    assert read(figure(4)) == [BadRow(1, "987654321", Why.SEED_MISSING)]


def test_figure_8_is_for_a_certificate(recipient: Recipient) -> None:
    assert bad(figure(8)) is Why.PRIVATE_KEY_NEEDED
    assert bad(figure(8), Secret(private_key=recipient.pem)) is Why.CERTIFICATE


def test_figure_10_has_four_tokens_with_dates() -> None:
    rows = [row for row in read(figure(10)) if isinstance(row, Row)]
    assert [row.serial for row in rows] == ["654321", "123456", "9999999", "9999999"]
    assert {row.seed for row in rows} == {DIGITS}
    assert (rows[0].valid_from, rows[0].valid_until) == (datetime(2006, 5, 1, tzinfo=UTC), datetime(2006, 5, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    ("number", "secret", "why"),
    [
        (6, None, Why.KEY_NEEDED),
        (6, FIGURE_7, Why.KEY_NEEDED),
        (6, Secret(key="00" * 16), Why.KEY_WRONG),
        (6, Secret(key="12345"), Why.KEY_UNREADABLE),
        (6, Secret(key="xy" * 16), Why.KEY_UNREADABLE),
        (7, None, Why.PASSPHRASE_NEEDED),
        (7, Secret(passphrase="qwertz"), Why.KEY_WRONG),
        (8, Secret(private_key=b"no key"), Why.PRIVATE_KEY_UNREADABLE),
    ],
)
def test_a_missing_or_wrong_key_refuses_the_file(number: int, secret: Secret | None, why: Why) -> None:
    assert bad(figure(number), secret) is why


def test_any_change_of_an_encrypted_value_or_its_mac_is_noticed() -> None:
    raw = figure(6)
    cipher, mac = b"AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv", b"Su+NvtQfmvfJzF6bmQiJqoLRExc="
    for value in (cipher, mac):
        clear = bytearray(base64.b64decode(value))
        for place in range(len(clear)):
            clear[place] ^= 1
            assert bad(raw.replace(value, base64.b64encode(clear)), FIGURE_6) is Why.MAC_WRONG, place
            clear[place] ^= 1
    assert bad(raw.replace(mac, base64.b64encode(base64.b64decode(mac)[:10])), FIGURE_6) is Why.MAC_WRONG


def test_cbc_without_a_mac_is_refused() -> None:
    before, rest = figure(6).split(b"<ValueMAC>")
    assert bad(before + rest.split(b"</ValueMAC>")[1], FIGURE_6) is Why.MAC_MISSING
    before, rest = figure(6).split(b"<MACMethod")
    assert bad(before + rest.split(b"</MACMethod>")[1], FIGURE_6) is Why.MAC_MISSING


# ---- what python-pskc writes -----------------------------------------------------------------------------------------


def written(made: PSKC) -> bytes:
    out = io.BytesIO()
    made.write(out)
    return out.getvalue()


@pytest.mark.parametrize("mac", ["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"])
@pytest.mark.parametrize("algorithm", ["aes128-cbc", "aes192-cbc", "aes256-cbc", "kw-aes128", "kw-aes192", "kw-aes256"])
def test_what_python_pskc_encrypts_is_read(algorithm: str, mac: str) -> None:
    made = write.by_python_pskc()
    made.encryption.setup_preshared_key(algorithm=algorithm, key_name="transport", fields=["secret", "time_interval"])
    made.mac.setup(algorithm=mac)
    assert made.encryption.key is not None
    rows = read(written(made), Secret(key=made.encryption.key.hex()))
    assert [(row.serial, row.seed, row.period) for row in rows if isinstance(row, Row)] == [
        (f"S{number}", seed(number), 60) for number in range(3)
    ]
    wrong = Secret(key=os.urandom(len(made.encryption.key)).hex())
    try:
        assert all(isinstance(row, BadRow) for row in read(written(made), wrong))
    except BadFile as refused:
        assert refused.reason is Why.KEY_WRONG


@pytest.mark.parametrize("prf", [None, "hmac-sha1", "hmac-sha256", "hmac-sha512"])
def test_passphrases_with_each_hash_function(prf: str | None) -> None:
    made = write.by_python_pskc()
    made.encryption.setup_pbkdf2("correct horse", algorithm="aes256-cbc", iterations=1000, prf=prf)
    rows = read(written(made), Secret(passphrase="correct horse"))
    assert [row.seed for row in rows if isinstance(row, Row)] == [seed(number) for number in range(3)]


def pre_shared(algorithm: str, key: bytes, value: bytes) -> bytes:
    """A container of one token; the MAC is made with the encryption key, since there is no other."""
    method = '<EncryptionKey/><MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"/>'
    return container(method, package(write.encrypted(algorithm, value, mac=hmac.digest(key, value, "sha1"))))


def test_triple_des_is_still_read_and_without_a_mac_key_the_encryption_key_makes_the_mac() -> None:
    key = os.urandom(24)
    raw = pre_shared(write.XENC + "tripledes-cbc", key, write.cbc(key, seed(1), TripleDES))
    assert only(raw, Secret(key=key.hex())).seed == seed(1)
    assert bad(raw, Secret(key=os.urandom(24).hex())) is Why.MAC_WRONG


@pytest.mark.parametrize("algorithm", ["arcfour", "kw-tripledes", "aes128-ecb", ""])
def test_other_ciphers_are_refused(algorithm: str) -> None:
    assert bad(pre_shared(write.XENC + algorithm, b"k" * 24, b"v" * 32), Secret(key=(b"k" * 24).hex())) is Why.CIPHER


@pytest.mark.parametrize("value", [b"", b"v", b"v" * 16, b"v" * 33])
def test_a_ciphertext_of_a_length_that_cannot_be_is_refused(value: bytes) -> None:
    why = Why.NOT_OPENED if value else Why.CIPHERTEXT
    assert bad(pre_shared(AES_CBC, b"k" * 16, value), Secret(key=(b"k" * 16).hex())) is why


# ---- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["rsa-1_5", "rsa_1_5", "rsa-oaep-mgf1p"])
def test_values_encrypted_for_a_certificate(recipient: Recipient, algorithm: str) -> None:
    encrypt = recipient.oaep if "oaep" in algorithm else recipient.rsa_1_5
    secret = write.encrypted(write.XENC + algorithm, encrypt(seed(1)))
    raw = container(recipient.encryption_key(), package(secret))
    assert only(raw, Secret(private_key=recipient.pem)).seed == seed(1)
    assert bad(raw, Secret(private_key=Recipient().pem)) is Why.CERTIFICATE


def test_oaep_with_sha256_and_a_label(recipient: Recipient) -> None:
    method = (
        f'<ds:DigestMethod Algorithm="{write.XENC}sha256"/><xenc11:MGF Algorithm="{write.XENC11}mgf1sha256"/>'
        f"<xenc:OAEPparams>{write.b64(b'tokens')}</xenc:OAEPparams>"
    )
    value = recipient.oaep(seed(1), hashes.SHA256, b"tokens")
    raw = container(recipient.encryption_key(), package(write.encrypted(write.XENC11 + "rsa-oaep", value, method)))
    assert only(raw, Secret(private_key=recipient.pem)).seed == seed(1)
    changed = raw.replace(write.b64(value).encode(), write.b64(value[:-1] + bytes([value[-1] ^ 1])).encode())
    assert bad(changed, Secret(private_key=recipient.pem)) is Why.NOT_OPENED


def test_a_content_key_wrapped_for_a_certificate(recipient: Recipient) -> None:
    content, mac_key = os.urandom(32), os.urandom(20)
    wrapped = (
        f"<xenc:EncryptedKey>{write.cipher_data(write.XENC + 'rsa-oaep-mgf1p', recipient.oaep(content))}</xenc:EncryptedKey>"
    )
    aes, value = write.XENC + "aes256-cbc", write.cbc(content, seed(1))
    secret = write.encrypted(aes, value, mac=hmac.digest(mac_key, value, "sha1"))
    parts = (recipient.encryption_key(wrapped), write.mac_method(aes, write.cbc(content, mac_key)), package(secret))
    assert only(container(*parts), Secret(private_key=recipient.pem)).seed == seed(1), "with the padding of XML Encryption"


# ---- key policy and what a package says ------------------------------------------------------------------------------


def policy(inner: str) -> bytes:
    return container(plain(key=f"{write.DECIMAL}<Policy>{inner}</Policy>"))


@pytest.mark.parametrize(
    ("inner", "why"),
    [
        ("<KeyUsage>Encrypt</KeyUsage>", Why.KEY_USAGE),
        ("<NumberOfTransactions>5</NumberOfTransactions>", Why.POLICY),
        ("<Moon>full</Moon>", Why.POLICY),
        ('<x:Moon xmlns:x="urn:elsewhere"/>', Why.POLICY),
        ('<PINPolicy PINUsageMode="Append"/>', Why.PIN_POLICY),
        ('<PINPolicy PINUsageMode="Local" Colour="red"/>', Why.POLICY),
        ("<ExpiryDate>tomorrow</ExpiryDate>", Why.DATES),
        ("<ExpiryDate>2031-02-30T00:00:00Z</ExpiryDate>", Why.DATES),
        ("<StartDate>2031-01-01T00:00:00Z</StartDate><ExpiryDate>2030-01-01T00:00:00Z</ExpiryDate>", Why.DATES),
    ],
)
def test_a_policy_that_is_not_understood_forbids_the_use(inner: str, why: Why) -> None:
    assert bad(policy(inner)) is why


def test_the_narrowest_dates_count() -> None:
    inner = "<Policy><StartDate>2026-01-01T00:00:00</StartDate><ExpiryDate>2031-01-01T02:00:00+02:00</ExpiryDate></Policy>"
    info = "<StartDate>2027-01-01T00:00:00Z</StartDate><ExpiryDate>2036-01-01T00:00:00Z</ExpiryDate>"
    row = only(container(plain(key=write.DECIMAL + inner, info=info)))
    assert (row.valid_from, row.valid_until) == (datetime(2027, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (
            plain(key='<AlgorithmParameters><ResponseFormat Length="6" Encoding="ALPHANUMERIC"/></AlgorithmParameters>'),
            Why.ENCODING,
        ),
        (
            plain(
                key='<AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL" CheckDigits="1"/></AlgorithmParameters>'
            ),
            Why.ENCODING,
        ),
        (plain(key='<AlgorithmParameters><ResponseFormat Length="9" Encoding="DECIMAL"/></AlgorithmParameters>'), Why.DIGITS),
        (plain(key="<AlgorithmParameters><Suite>HMAC-MD5</Suite></AlgorithmParameters>"), Why.ALGORITHM),
        (plain(algorithm="urn:ietf:params:xml:ns:keyprov:pskc:ocra"), Why.TYPE),
        (plain(data="<Counter><PlainValue>-1</PlainValue></Counter>"), Why.COUNTER),
        (plain(data="<Counter><PlainValue>99999999999999999</PlainValue></Counter>"), Why.COUNTER),
        (plain(data="<Counter><PlainValue>MTIz</PlainValue></Counter>"), Why.COUNTER),
        (package("<PlainValue>not base64!</PlainValue>"), Why.SEED_NOT_BASE64),
        (package("<PlainValue/>"), Why.SEED_MISSING),
        (plain(serial="=cmd|'/c calc'!A1"), Why.SERIAL_FORMULA),
        (plain(serial="S\u00e9rie"), Why.SERIAL_NOT_PRINTABLE),
        (plain(serial=""), Why.SERIAL_MISSING),
        (plain(info="<Model>" + "M" * 101 + "</Model>"), Why.MODEL),
        ("<KeyPackage><DeviceInfo><SerialNo>S1</SerialNo></DeviceInfo></KeyPackage>", Why.SEED_MISSING),
    ],
)
def test_a_package_that_cannot_be_used_is_refused(raw: str, why: Why) -> None:
    assert bad(container(raw)) is why


def test_yubikeys_in_pskc() -> None:
    """The first example of draft-josefsson-keyprov-pskc-yubikey."""
    key = "<UserId>CN=ekhgjhbctrgn, UID=ca62baca62ba</UserId>"
    secret = "<PlainValue>K34VFiiu0qar9xWICc9PPA==</PlainValue>"
    row = only(container(package(secret, "283599", key=key, algorithm="http://www.yubico.com/#yubikey-aes")))
    assert (row.kind, row.public_id, row.owner) == ("yubiotp", "ekhgjhbctrgn", "")
    assert row.seed.hex() == "ca62baca62ba2b7e151628aed2a6abf7158809cf4f3c"


# ---- hostile XML -----------------------------------------------------------------------------------------------------

ENTITIES = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'<!DOCTYPE k [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + container(plain(serial="&x;")), Why.FILE_DTD),
        (b'<!DOCTYPE k SYSTEM "http://192.0.2.1/x.dtd">' + container(plain()), Why.FILE_DTD),
        (ENTITIES + b"]>" + container(plain(serial="&j;")), Why.FILE_DTD),
        (container("<a>" * 100_000), Why.FILE_TOO_DEEP),
        (container("<KeyPackage>" + "<Key/>" * 10_000 + "</KeyPackage>"), Why.FILE_TOO_DEEP),
        (container(f'<KeyPackage Id="{"x" * 30_000_000}"/>'), Why.FILE_TOO_DEEP),
        (container(f"<!--{'x' * 30_000_000}-->"), Why.FILE_TOO_DEEP),
        (container(plain(info="<Model>" + "x" * 30_000_000 + "</Model>")), Why.FILE_TOO_DEEP),
        (container(plain())[:-20], Why.FILE_NOT_XML),
        (container(plain()) + b"<more/>", Why.FILE_NOT_XML),
        (container(plain()).replace(b"<Key ", b"<Key \0"), Why.FILE_NOT_XML),
        (b'<?xml version="1.0" encoding="klingon"?>' + container(plain()), Why.FILE_NOT_XML),
        (b"<html>sign in first</html>", Why.FILE_NOT_PSKC),
        (container(plain()).replace(b'"1.0"', b'"2.0"'), Why.FILE_NOT_PSKC),
        (container(plain(), "<EncryptionKey/>"), Why.FILE_NOT_PSKC),
    ],
    ids=lambda value: value.name if isinstance(value, Why) else "",
)
def test_hostile_xml_is_refused_in_bounded_time_and_memory(raw: bytes, why: Why) -> None:
    tracemalloc.start()
    begun = time.monotonic()
    try:
        assert bad(raw) is why
        assert time.monotonic() - begun < 5
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("what", "by", "why"),
    [
        (b"<IterationCount>1000<", b"<IterationCount>1000000000<", Why.ITERATIONS),
        (b"<IterationCount>1000<", b"<IterationCount>0<", Why.ITERATIONS),
        (b"<IterationCount>1000<", b"<IterationCount>" + b"9" * 5000 + b"<", Why.ITERATIONS),
        (b"<KeyLength>16<", b"<KeyLength>1000000000<", Why.DERIVATION),
        (b"<PRF/>", b'<PRF Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-md5"/>', Why.DERIVATION),
        (b"Ej7/PEpyEpw=", b"%%%", Why.DERIVATION),
        (b"#pbkdf2", b"#pbkdf9", Why.DERIVATION),
        (b"#hmac-sha1", b"#hmac-rot13", Why.FILE_MAC),
    ],
)
def test_a_key_derivation_out_of_bounds_is_refused_at_once(what: bytes, by: bytes, why: Why) -> None:
    begun = time.monotonic()
    assert bad(figure(7).replace(what, by), FIGURE_7) is why
    assert time.monotonic() - begun < 2


# ---- tables ----------------------------------------------------------------------------------------------------------

LINE = "A1,3132333435363738393031323334353637383930,totp,6,30"


def test_oath_csv_with_every_column() -> None:
    text = "serial,key,type,digits,period\nA1,{},TOTP,8,60,SHA-256\nb2 ,{},hotp,6,41\n".format(
        "00112233445566778899" * 2,
        "ab" * 20,
    )
    first, second = read(text.encode())
    assert first == Row(2, "A1", "totp", bytes.fromhex("00112233445566778899" * 2), "sha256", 8, 60)
    assert second == Row(3, "B2", "hotp", b"\xab" * 20, counter=41)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + LINE.encode(),
        LINE.replace(",", ";").encode() + b"\r\n\r\n\r\n",
        b"sep=;\r\n" + LINE.replace(",", ";").encode(),
        LINE.replace(",", "\t").encode(),
        b"# our tokens\n\n" + LINE.encode() + b",,,,\n",
        ",".join(f'"{cell}"' for cell in LINE.split(",")).encode(),
        b"Serial Number;Key (hex);Type;Digits;Period\r\n" + LINE.replace(",", " ; ").encode(),
    ],
)
def test_what_spreadsheets_make_of_a_table_is_read(raw: bytes) -> None:
    row = only(raw)
    assert (row.serial, row.seed, row.kind, row.period) == ("A1", DIGITS, "totp", 30)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (LINE.replace("A1", ""), Why.SERIAL_MISSING),
        (LINE.replace("A1", "=1+1"), Why.SERIAL_FORMULA),
        (LINE.replace("A1", "+49"), Why.SERIAL_FORMULA),
        (LINE.replace("A1", "-1"), Why.SERIAL_FORMULA),
        (LINE.replace("A1", "@SUM(A1)"), Why.SERIAL_FORMULA),
        (LINE.replace("A1", "\tA1"), Why.SERIAL_FORMULA),
        (LINE.replace("A1", "1.23E+10"), Why.NUMBER_MANGLED),
        (LINE.replace("A1", '"1,23457E+12"'), Why.NUMBER_MANGLED),
        (LINE.replace("3132333435363738393031323334353637383930", "3.13233E+39"), Why.NUMBER_MANGLED),
        (LINE.replace("A1", "A" * 65), Why.SERIAL_TOO_LONG),
        (LINE.replace("A1", "A\u202e1"), Why.SERIAL_NOT_PRINTABLE),
        (LINE.replace("3930,", "393,"), Why.SEED_NOT_HEX),
        (LINE.replace("3930,", "39zz,"), Why.SEED_NOT_HEX),
        (LINE.replace("3132333435363738393031323334353637383930", ""), Why.SEED_MISSING),
        (LINE.replace("totp", "ocra"), Why.TYPE),
        (LINE.replace(",6,", ",5,"), Why.DIGITS),
        (LINE.replace(",6,", ",\u0666,"), Why.DIGITS),
        (LINE.replace(",30", ",45"), Why.PERIOD),
        (LINE + ",md5", Why.ALGORITHM),
        (LINE + ",sha1,more", Why.COLUMNS),
        (LINE[:-3], Why.COLUMNS),
        (LINE.replace("totp,6,30", "hotp,6,-1"), Why.COUNTER),
        (LINE.replace("totp,6,30", "hotp,6,9007199254740993"), Why.COUNTER),
        (LINE.replace("A1", '"A1'), Why.MALFORMED),
        (LINE.replace("A1", "A" * 5000), Why.LINE_TOO_LONG),
    ],
)
def test_a_line_that_cannot_be_used_is_refused(line: str, why: Why) -> None:
    assert bad(line.encode(), file_format="oath-csv") is why


def test_latin_1_and_nul_are_refused_line_by_line_and_the_rest_is_read() -> None:
    raw = b"\n".join([LINE.encode(), b"Gr\xfc\xdfe,00", b"A\x002,00", LINE.replace("A1", "A3").encode()])
    assert [row if isinstance(row, BadRow) else row.serial for row in read(raw, file_format="oath-csv")] == [
        "A1",
        BadRow(2, "", Why.NOT_TEXT),
        BadRow(3, "", Why.NOT_TEXT),
        "A3",
    ]


def test_garbage_and_nothing_are_no_seed_file() -> None:
    for raw, why in ((b"", Why.FILE_EMPTY), (b"\n\n# nothing\n", Why.FILE_EMPTY), (b"PK\x03\x04\0\0", Why.FILE_NOT_TEXT)):
        with pytest.raises(BadFile) as caught:
            seed_files.detect(raw)
        assert caught.value.reason is why
    assert bad(b"serial,period\n", file_format="oath-csv") is Why.FILE_COLUMNS
    assert bad(b"x", file_format="word") is Why.FILE_FORMAT


def test_a_file_that_is_too_large_or_has_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadFile) as caught:
        list(seed_files.read(io.BytesIO(b"x" * 101), "oath-csv", Secret(), largest=100))
    assert caught.value.reason is Why.FILE_TOO_LARGE
    monkeypatch.setattr(seed_files, "MOST_ROWS", 2)
    assert len(read(b"a\nb\n", file_format="oath-csv")) == 2
    with pytest.raises(BadFile) as caught:
        read(b"a\nb\nc\n", file_format="oath-csv")
    assert caught.value.reason is Why.FILE_TOO_MANY_ROWS


def test_entra_csv() -> None:
    head = "upn,serial number,secret key,time interval,manufacturer,model\r\n"
    row = only((head + "ada@example.org,1234567,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,60,Contoso,HardwareKey\r\n").encode())
    assert row == Row(2, "1234567", "totp", DIGITS, period=60, owner="ada@example.org", model="Contoso HardwareKey")
    token2 = head.replace("secret key,time interval", "secret key(base32),timeinterval")
    assert only((token2 + ",60123,gezd gnbv gy3t qojq gezd gnbv gy3t qojq,30,Token2,c202").encode()).seed == DIGITS


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a,1,GEZD1GNBVGY3TQOJQ,30,x,y", Why.SEED_NOT_BASE32),
        ("a,1,A,30,x,y", Why.SEED_NOT_BASE32),
        ("a,1,,30,x,y", Why.SEED_MISSING),
        ("a,1,GEZDGNBVGY3TQOJQ,15,x,y", Why.PERIOD),
        ("a,1,GEZDGNBVGY3TQOJQ,30,=x,y", Why.MODEL),
        ("a,1,GEZDGNBVGY3TQOJQ,30,x,y,z", Why.COLUMNS),
        ("a", Why.SERIAL_MISSING),
    ],
)
def test_entra_csv_refuses(line: str, why: Why) -> None:
    head = "upn,serial number,secret key,time interval,manufacturer,model\n"
    assert bad((head + line).encode()) is why
    assert bad(line.encode(), file_format="entra-csv") is Why.FILE_COLUMNS, "without headings"


def test_yubico_csv_in_both_layouts() -> None:
    listed = b"4711,ccccccbcgujh,a1b2c3d4e5f6,00112233445566778899aabbccddeeff,000000000000,2026-01-01T00:00:00,\r\n"
    expected = bytes.fromhex("a1b2c3d4e5f600112233445566778899aabbccddeeff")
    assert only(listed) == Row(1, "4711", "yubiotp", expected, public_id="ccccccbcgujh", model="YubiKey")
    log = (
        b"LOGGING START,11.12.13 18:55\r\n"
        b"Yubico OTP,12/11/2013 11:10,1,ccccccbcgujh,a1b2c3d4e5f6,00112233445566778899aabbccddeeff,,,0,0,0,0,0,0,0,0,0,0\r\n"
        b"OATH-HOTP,11.12.13 18:55,1,ubhe12345678,,3132333435363738393031323334353637383930,,,0,0,0,8,16,0,0,0,0,0\r\n"
    )
    otp, hotp = read(log)
    assert otp == Row(2, "CCCCCCBCGUJH", "yubiotp", expected, public_id="ccccccbcgujh", model="YubiKey")
    assert hotp == Row(3, "UBHE12345678", "hotp", DIGITS, digits=8, counter=16, model="YubiKey")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("4711,hello,a1b2c3d4e5f6,00112233445566778899aabbccddeeff", Why.PUBLIC_ID),
        ("4711,ccccccbcgujh,a1b2c3d4e5,00112233445566778899aabbccddeeff", Why.PRIVATE_ID),
        ("4711,ccccccbcgujh,a1b2c3d4e5f6,0011223344556677", Why.SEED_LENGTH),
        ("4711,ccccccbcgujh", Why.COLUMNS),
        ("Static Password,12/11/2013 11:10,1,,d5fdfdaf3aef,adff9bb8ed66aacf,,,0,0,0,0,0,0,0,0,0,0", Why.TYPE),
        ("Yubico OTP,11.12.13 18:58,1,,,a54c68c7c3d5a1fec8a0c85b8d60765b,,,0,0", Why.PUBLIC_ID),
        ("OATH-HOTP,11.12.13 18:55,1,cccccccccccc,,916821d3a138bf855e70069605559a206ba854cd,,,0,0,0,6,0", Why.SERIAL_MISSING),
    ],
)
def test_yubico_csv_refuses(line: str, why: Why) -> None:
    assert bad(line.encode(), file_format="yubico-csv") is why


def test_key_uris() -> None:
    totp = "otpauth://totp/Acme:A1?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme&algorithm=SHA256&digits=8&period=60"
    hotp = "otpauth://hotp/b2?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq&counter=7"
    first, second = read(f"{totp}\n\n{hotp}\n".encode())
    assert first == Row(1, "A1", "totp", DIGITS, "sha256", 8, 60, model="Acme")
    assert second == Row(3, "B2", "hotp", DIGITS, counter=7)
    assert only((totp + "&serial=C3").encode()).serial == "C3"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("otpauth://totp/A1?issuer=x", Why.SEED_MISSING),
        ("otpauth://totp/A1?secret=GEZDGNBVGY3TQOJQ&secret=GEZDGNBVGY3TQOJA", Why.PARAMETER),
        ("otpauth://totp/A1?secret=GEZDGNBVGY3TQOJQ&encoder=steam", Why.PARAMETER),
        ("otpauth://hotp/A1?secret=GEZDGNBVGY3TQOJQ", Why.COUNTER),
        ("otpauth://yaotp/A1?secret=GEZDGNBVGY3TQOJQ", Why.TYPE),
        ("otpauth-migration://offline?data=CjEK", Why.MALFORMED),
        ("otpauth://totp/?secret=GEZDGNBVGY3TQOJQ", Why.SERIAL_MISSING),
        ("otpauth://[totp/A1?secret=GEZDGNBVGY3TQOJQ", Why.MALFORMED),
        ("otpauth://totp/A%ff1?secret=GEZDGNBVGY3TQOJQ", Why.MALFORMED),
        ("otpauth://totp/%3DA1?secret=GEZDGNBVGY3TQOJQ", Why.SERIAL_FORMULA),
    ],
)
def test_key_uris_refuse(line: str, why: Why) -> None:
    assert bad(line.encode(), file_format="otpauth") is why


# ---- what is said ----------------------------------------------------------------------------------------------------


def test_every_reason_has_a_sentence_of_its_own() -> None:
    sentences = [str(why.sentence) for why in Why]
    assert len(set(sentences)) == len(sentences) and all(text[0].isupper() and text.endswith(".") for text in sentences)


@pytest.mark.parametrize("made", [Row(1, "A1", "totp", DIGITS), Secret(PSK, "qwerty", b"-----BEGIN")])
def test_no_secret_is_in_what_is_printed(made: Any) -> None:
    for hidden in ("1234567890", "qwerty", "BEGIN"):
        assert hidden not in repr(made)
