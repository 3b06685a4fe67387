"""A validation server of Yubico OTPs on this machine: it knows its keys, checks and makes signatures, and keeps counters."""

import base64
import hmac
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from tests.authenticators import MODHEX, YubiKey, crc16


class ValidationServer:
    """`keys` by public id; `spoil` changes what is answered before it is signed, `deliver` what is sent instead of it."""

    def __init__(self) -> None:
        self.keys: dict[str, YubiKey] = {}
        self.seen: dict[str, int] = {}
        self.api_key, self.asked = b"0123456789abcdef", 0
        self.spoil: Callable[[dict[str, str]], None] = lambda said: None
        self.deliver: Callable[[Any, bytes], None] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}/wsapi/2.0/verify"

    def sign(self, values: dict[str, str]) -> str:
        """The protocol's signature."""
        signed = "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "h")
        return base64.b64encode(hmac.new(self.api_key, signed.encode(), sha1).digest()).decode()

    def judge(self, asked: dict[str, str]) -> dict[str, str]:
        """What the protocol says to this question."""
        self.asked += 1
        said = {"t": time.strftime("%Y-%m-%dT%H:%M:%SZ0000"), "otp": asked.get("otp", ""), "nonce": asked.get("nonce", "")}
        if "h" in asked and asked["h"] != self.sign(asked):
            return {**said, "status": "BAD_SIGNATURE"}
        key = self.keys.get(asked["otp"][:12])
        block = key and opened(key, asked["otp"][12:])
        if not key or not block or block[:6] != key.private_id or crc16(block) != 0xF0B8:
            return {**said, "status": "BAD_OTP"}
        usage, session = int.from_bytes(block[6:8], "little"), block[11]
        counter = usage << 8 | session
        if counter <= self.seen.get(asked["otp"][:12], -1):
            return {**said, "status": "REPLAYED_OTP"}
        self.seen[asked["otp"][:12]] = counter
        return {**said, "status": "OK", "sl": "100", "sessioncounter": str(usage), "sessionuse": str(session), "timestamp": "1"}


def opened(key: YubiKey, encrypted: str) -> bytes:
    """The block in the clear."""
    data = bytes.fromhex("".join(f"{MODHEX.index(char):x}" for char in encrypted))
    decryptor = Cipher(AES(key.key), ECB()).decryptor()  # noqa: S305
    return decryptor.update(data) + decryptor.finalize()


@contextmanager
def running() -> Iterator[ValidationServer]:
    """The server, for as long as it takes."""
    state = ValidationServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = state.judge(dict(parse_qsl(urlsplit(self.path).query)))
            said["h"] = state.sign(said)
            state.spoil(said)
            body = "".join(f"{name}={value}\r\n" for name, value in said.items()).encode()
            if state.deliver:
                return state.deliver(self, body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)
            return None

        def log_message(self, format: str, *args: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
