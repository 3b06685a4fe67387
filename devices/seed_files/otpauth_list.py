"""Key URIs, one a line: `otpauth://totp/Model:SERIAL?secret=BASE32&algorithm=SHA256&digits=8&period=60`.

The serial is the parameter `serial`, or else what stands in the place of the account's name.
"""

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from devices.seed_files import values
from devices.seed_files.lines import judged, lines
from devices.seed_files.rows import BadRow, Row, Secret, Unusable, Why

KNOWN = {"secret", "issuer", "algorithm", "digits", "period", "counter", "serial"}
FOR_THE_EYE = {"image", "color", "icon"}


def read(file: BinaryIO, secret: Secret) -> Iterator[Row | BadRow]:
    """The file's tokens."""
    for number, line in lines(file):
        if isinstance(line, Why):
            yield BadRow(number, "", line)
        else:
            yield parsed(number, line.strip().strip('"'))


def parsed(number: int, text: str) -> Row | BadRow:
    """The line's token or refusal."""
    try:
        uri = urlsplit(text)
        given = parameters(uri)
        issuer, _, name = unquote(uri.path.removeprefix("/"), errors="strict").rpartition(":")
    except ValueError:
        return BadRow(number, "", Why.MALFORMED)
    except Unusable as bad:
        return BadRow(number, "", bad.reason)
    name = given.get("serial") or name
    return judged(number, name, partial(token, number, uri.netloc.lower(), name, given.get("issuer") or issuer, given))


def parameters(uri: SplitResult) -> dict[str, str]:
    """The parameters, each there once; ValueError or Unusable."""
    pairs = parse_qsl(uri.query, keep_blank_values=True, strict_parsing=True, max_num_fields=20, errors="strict")
    given = dict(pairs)
    if uri.scheme.lower() != "otpauth":
        raise Unusable(Why.MALFORMED)
    if len(given) != len(pairs) or set(given) - KNOWN - FOR_THE_EYE:
        raise Unusable(Why.PARAMETER)
    return given


def token(number: int, kind: str, serial: str, model: str, given: dict[str, str]) -> Row:
    """The token; Unusable."""
    if kind not in ("totp", "hotp"):
        raise Unusable(Why.TYPE)
    return Row(
        number,
        values.serial(serial),
        kind,
        values.seed_of_base32(given.get("secret", "")),
        algorithm=values.algorithm(given.get("algorithm") or "sha1"),
        digits=values.digits(given.get("digits") or "6"),
        period=values.period(given.get("period") or "30") if kind == "totp" else 30,
        counter=values.counter(given.get("counter", "")) if kind == "hotp" else 0,  # the key URI's form wants it
        model=values.model(model),
    )
