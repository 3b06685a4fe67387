"""A gateway for text messages on this machine: a real HTTP server that keeps what it is asked, and misbehaves as it is told."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


class Gateway:
    """`messages`: what was taken, each with `to`, `text` and what else came, and delivered `twice` if it is told to.
    `behave` answers instead of the gateway."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.behave: Callable[[Any], None] | None = None
        self.status, self.pause, self.port, self.twice = 200, 0.0, 0, False

    @property
    def url(self) -> str:
        """For MFA_SITE_SMS_URL."""
        return f"http://a-token@127.0.0.1:{self.port}/send?account=7"

    @property
    def twilio(self) -> str:
        """The same, spoken to as Twilio."""
        return f"twilio://AC1:a%2Ftoken@127.0.0.1:{self.port}/?from=+15550006789"

    def wait(self, count: int = 1, patience: float = 10) -> list[dict[str, str]]:
        """The messages, once there are so many."""
        end = time.monotonic() + patience
        while len(self.messages) < count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.messages) == count, self.messages
        return self.messages


@contextmanager
def running() -> Iterator[Gateway]:
    """The gateway, for as long as it takes."""
    state = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            state.asked.append((self.path, dict(self.headers.items())))
            time.sleep(state.pause)
            if state.behave:
                return state.behave(self)
            if state.status < 300:
                is_json = self.headers["Content-Type"] == "application/json"
                said: dict[str, str] = json.loads(body) if is_json else dict(parse_qsl(body, strict_parsing=True))
                message = {"to": said.get("To", ""), "text": said.get("Body", ""), **said}
                state.messages += [message] * (1 + state.twice)
            self.send_response(state.status)
            self.end_headers()
            self.wfile.write(b'{"sid": "SM1"}')
            return None

        def log_message(self, format: str, *args: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
