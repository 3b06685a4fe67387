"""Sending requests as fast as they are answered, over a few connections that stay open, and timing each."""

import json
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

CONNECTIONS = 4


@dataclass(frozen=True)
class Request:
    """What goes over the wire, and the status that has to come back."""

    wire: bytes
    expected: int = 200


@dataclass
class Answer:
    """Status, body and seconds of one request."""

    status: int
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Sender:
    """Builds requests for one server and sends them."""

    def __init__(self, port: int, host: str) -> None:
        self.port, self.host = port, host

    def request(self, method: str, path: str, body: Any = None, expected: int = 200, **headers: str) -> Request:
        """A request with a JSON body, or a form where the body is text."""
        content = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "application/x-www-form-urlencoded" if isinstance(body, str) else "application/json"
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", f"Content-Length: {len(content)}", f"Content-Type: {kind}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return Request("\r\n".join([*lines, "", ""]).encode() + content, expected)

    def send(self, requests: Iterable[Request], connections: int = CONNECTIONS) -> list[Answer]:
        """The answers in the order of the requests; an answer with another status than expected stops the bench."""
        waiting = list(enumerate(requests))
        answers: list[Answer | None] = [None] * len(waiting)
        waiting.reverse()
        faults: list[str] = []

        def work() -> None:
            with socket.create_connection(("127.0.0.1", self.port)) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while waiting and not faults:
                    try:
                        number, request = waiting.pop()
                    except IndexError:
                        return
                    began = time.perf_counter()
                    connection.sendall(request.wire)
                    status, body = read(connection)
                    answers[number] = Answer(status, body, time.perf_counter() - began)
                    if status != request.expected:
                        faults.append(f"{status} instead of {request.expected}: {body[:300]!r}\n{request.wire[:200]!r}")

        threads = [threading.Thread(target=work) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults or None in answers:
            raise SystemExit(f"The service did not answer as it should: {faults[:1] or 'a connection broke'}")
        return [answer for answer in answers if answer is not None]


def read(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of one response, sent whole or in chunks."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    if b"content-length" in fields:
        while len(body) < int(fields[b"content-length"]):
            body += receive(connection)
        return int(head[9:12]), body
    while not body.endswith(b"0\r\n\r\n"):
        body += receive(connection)
    return int(head[9:12]), joined(body)


def joined(chunked: bytes) -> bytes:
    """The chunks of RFC 9112 7.1 as one."""
    whole = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        length = int(size, 16)
        whole, chunked = whole + rest[:length], rest[length + 2 :] if length else b""
    return whole


def receive(connection: socket.socket) -> bytes:
    """What came next."""
    part = connection.recv(65536)
    if not part:
        raise SystemExit("The service closed the connection.")
    return part
