"""A gateway that takes JSON: `https://token@host/path`, or `https://user:password@host/path`."""

import functools
import json
from typing import Any
from urllib.parse import SplitResult, unquote

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from devices.senders import MaybeSent, NotSent

CONNECT, READ = 5.0, 40.0  # seconds: a gateway that takes half a minute is slow, not away


class Handshake(HTTPSConnection):
    """A TLS connection that could not be made is as none: nothing had been handed over by then."""

    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:  # a certificate that does not hold, no TLS at the other end, silence, a reset
            raise NewConnectionError(self, type(error).__name__) from None


class Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = Handshake


def send(url: SplitResult, address: str, text: str, ref: str) -> None:
    """The gateway has answered 2xx to `{"to", "text", "ref"}`."""
    body = json.dumps({"to": address, "text": text, "ref": ref})
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    post(f"{url.scheme}://{host(url)}{path}", body.encode(), {"Content-Type": "application/json", **authorization(url)})


def post(to: str, body: bytes, headers: dict[str, str]) -> None:
    """It was taken; else NotSent or MaybeSent. No redirect is followed: it would carry the code elsewhere. Of the answer only
    the status counts; the rest is not waited for."""
    timeout = urllib3.Timeout(connect=CONNECT, read=READ)
    asked: dict[str, Any] = {"retries": False, "redirect": False, "preload_content": False, "timeout": timeout}
    try:
        response = _pool().request("POST", to, body=body, headers=headers, **asked)
    except (NewConnectionError, ConnectTimeoutError) as error:
        raise NotSent(type(error).__name__, again=True) from None
    except HTTPError as error:
        raise MaybeSent(type(error).__name__) from None
    response.close()
    if not 200 <= response.status < 300:
        raise NotSent(f"HTTP {response.status}", again=response.status >= 500)


def host(url: SplitResult) -> str:
    """Host and port, without who asks."""
    return url.netloc.rpartition("@")[2]


def authorization(url: SplitResult) -> dict[str, str]:
    """Who asks: Basic with a name and a password, Bearer with a token alone."""
    user, password = unquote(url.username or ""), unquote(url.password or "")
    if password:
        made: dict[str, str] = urllib3.make_headers(basic_auth=f"{user}:{password}")
        return made
    return {"authorization": f"Bearer {user}"} if user else {}


@functools.cache
def _pool() -> urllib3.PoolManager:
    manager = urllib3.PoolManager(num_pools=4, maxsize=8)
    manager.pool_classes_by_scheme = {"http": urllib3.HTTPConnectionPool, "https": Pool}
    return manager
