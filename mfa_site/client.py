"""Who is at the other end of a request: address, user agent, request id."""

import contextlib
import ipaddress
import re
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

REQUEST_ID = re.compile(r"\A[A-Za-z0-9._-]{8,64}\Z")


@dataclass(frozen=True)
class Client:
    """Facts of one request: `address` as text, `user_agent` cut to 200 characters, `request_id`, and in `browsers` the
    cookie of a browser that is known (`accounts.known_browsers`)."""

    address: str
    user_agent: str
    request_id: str
    browsers: str = ""

    @property
    def network(self) -> str:
        """What one client has to itself: its IPv4 address, or the /64 of its IPv6 address."""
        if not self.address:
            return ""
        ip = ipaddress.ip_address(self.address)
        if isinstance(ip, ipaddress.IPv4Address):
            return str(ip)
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))


HERE = Client("", "", "")  # nobody at the other end: the worker, a command


def client(request: HttpRequest) -> Client:
    """The facts of this request."""
    browsers = request.COOKIES.get(settings.KNOWN_COOKIE_NAME, "")
    return Client(address(request), user_agent(request), request.META["mfa_site.request_id"], browsers)


def address(request: HttpRequest) -> str:
    """The client's IP address: the peer's, or the one that the outermost declared proxy saw.

    Only `TRUSTED_PROXIES` hops of X-Forwarded-For are believed, counted from the right; whatever cannot be
    parsed falls back to the peer's address.
    """
    peer: str = request.META.get("REMOTE_ADDR", "")
    hops = settings.TRUSTED_PROXIES
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    for candidate in ([forwarded[-hops]] if 0 < hops <= len(forwarded) else []) + [peer]:
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(candidate.replace("%", "?")))  # a scope id is no address of a client
    return ""


def user_agent(request: HttpRequest) -> str:
    """The User-Agent header, printable and cut to 200 characters."""
    return "".join(c for c in request.headers.get("User-Agent", "")[:200] if c.isprintable())


def request_id(request: HttpRequest) -> str:
    """The caller's X-Request-ID if it is well-formed, else a new one."""
    given = request.headers.get("X-Request-ID", "")
    return given if REQUEST_ID.match(given) else uuid.uuid4().hex
