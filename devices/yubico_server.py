"""Asking a validation server of Yubico OTPs (Yubico's validation protocol, version 2.0).

The answer counts only with the server's signature over it, for this OTP and this question. Anything else is as if the server
were away: nothing is judged, and the attempt is given back.
"""

import base64
import functools
import hmac
import logging
import secrets
import time
from hashlib import sha1

import urllib3
from django.conf import settings
from urllib3.exceptions import HTTPError

from mfa_site.errors import Reason, Refused

log = logging.getLogger(__name__)

CONNECT, READ, IN_ALL = 2.0, 4.0, 8.0  # seconds; a person waits for it
LONGEST = 4096  # bytes; an answer has a dozen short lines


class Away(Exception):
    """No server gave an answer that counts; the text says why, and nothing of the OTP."""


def validate(otp: str) -> int:
    """The usage and session counter of the OTP, joined, if the server says that it is good and new.

    Refused CODE_WRONG, ANSWER_USED; UNAVAILABLE without an answer that counts.
    """
    try:
        said = _ask(otp)
        status = said.get("status", "")
        if status == "OK":
            return _counter(said)
        if status == "REPLAYED_OTP":
            raise Refused(Reason.ANSWER_USED)
        if status == "BAD_OTP":
            raise Refused(Reason.CODE_WRONG, touch=True)
        # BACKEND_ERROR, NOT_ENOUGH_ANSWERS, NO_SUCH_CLIENT, OPERATION_NOT_ALLOWED …: the server's fault or the operator's.
        raise Away(f"status {status[:40]!r}")
    except Away as why:
        log.error("the validation server of Yubico OTPs gave no answer that counts: %s", why)
        raise Refused(Reason.UNAVAILABLE) from None


def signature(values: dict[str, str]) -> str:
    """`h`: HMAC-SHA1 under the API key over the sorted pairs, in base64."""
    signed = "&".join(f"{name}={value}" for name, value in sorted(values.items()) if name != "h")
    return base64.b64encode(hmac.digest(settings.YUBICO_KEY, signed.encode(), sha1)).decode()


def _ask(otp: str) -> dict[str, str]:
    """What the first server says that can be reached; Away if none can, or the answer is not to this question."""
    fields = {"id": settings.YUBICO_ID, "nonce": secrets.token_hex(16), "otp": otp, "timestamp": "1"}
    end, why = time.monotonic() + IN_ALL, "no time left"
    for url in settings.YUBICO_URL.split(","):
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            said = _get(url.strip(), {**fields, "h": signature(fields)}, left)
        except HTTPError as error:
            why = type(error).__name__
            continue
        return _checked(said, fields)
    raise Away(why)


def _get(url: str, fields: dict[str, str], left: float) -> dict[str, str]:
    timeout = urllib3.Timeout(connect=min(CONNECT, left), read=min(READ, left), total=left)
    response = _pool().request("GET", url, fields=fields, timeout=timeout, retries=False, redirect=False, preload_content=False)
    try:
        if response.status != 200:
            raise Away(f"HTTP status {response.status}")
        body, end = b"", time.monotonic() + READ
        while len(body) < LONGEST and time.monotonic() < end and (part := response.read1(LONGEST)):
            body += part
    finally:
        response.close()
    lines = (line.strip().partition("=") for line in body.decode("ascii", "replace").splitlines())
    return {name: value for name, equals, value in lines if equals}


def _checked(said: dict[str, str], fields: dict[str, str]) -> dict[str, str]:
    given = said.get("h", "").replace(" ", "+")
    if not hmac.compare_digest(given.encode(), signature(said).encode()):
        raise Away("its signature is not right")
    # Yubico's own server leaves it out of what it calls bad.
    otp = said.get("otp", fields["otp"] if said.get("status") == "BAD_OTP" else "")
    if said.get("status") in ("OK", "REPLAYED_OTP", "BAD_OTP") and otp != fields["otp"]:
        raise Away("it speaks of another OTP")
    if said.get("status") in ("OK", "REPLAYED_OTP") and said.get("nonce") != fields["nonce"]:
        raise Away("it answers another question")
    return said


def _counter(said: dict[str, str]) -> int:
    try:
        usage, session = int(said["sessioncounter"]), int(said["sessionuse"])
    except (KeyError, ValueError):
        raise Away("it gives no counters") from None
    if not (0 <= usage <= 0xFFFF and 0 <= session <= 0xFF):
        raise Away("its counters are out of bounds")
    return usage << 8 | session


@functools.cache
def _pool() -> urllib3.PoolManager:
    return urllib3.PoolManager(num_pools=4, maxsize=8)
