"""The service as a program of an administrator sees it from elsewhere: by its API alone, with neither database nor keyring.

Nothing of Django's settings or models is imported here; so is what uses it.
"""

import json
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

TIMEOUT = urllib3.Timeout(connect=10, read=30)  # seconds
LONGEST = 1024 * 1024  # bytes of an answer; a list of fifty people has 20,000
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
LOCAL = "localhost"  # the one host on which plain http is no danger, for people and for security keys
CLIENT = "mfa-site"  # the service's name for programs that are registered nowhere


class Failed(Exception):
    """Something cannot be done; the text is one or two sentences for the administrator."""


class BadAddress(Failed):
    """What was given for the service is no address of one."""


class Answered(Failed):
    """The service refused: its `code` (RFC 9457), and what it says about it."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"The service refuses: {detail or code or f'HTTP status {status}'}")
        self.status, self.code = status, code


def origin_of(address: str) -> str:
    """The origin (scheme, host and port, as browsers write it) of this address; BadAddress for anything but https, or http on
    localhost: passwords and codes go there."""
    parts = urlsplit(address.strip())
    try:
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:  # UnicodeError is one
        raise BadAddress(f"{address!r} is no address: it is a scheme, a host and perhaps a port.") from None
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/") or parts.query or "@" in parts.netloc:
        raise BadAddress(f"{address!r} is no address: it is a scheme, a host and perhaps a port, as https://login.example.org.")
    if parts.scheme == "http" and host != LOCAL:
        raise BadAddress(f"Only https is safe to send a password over, and http only to {LOCAL}. Write https://{host}.")
    usual = {"http": 80, "https": 443}[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, usual) else f":{port}")


class Service:
    """The service at an origin, and who is signed in to it by this program."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.pool = urllib3.PoolManager(retries=False)
        self.access, self.refresh = "", ""

    # ---- calls -----------------------------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        """What the API has at the path; Answered, Failed."""
        return self._send("GET", f"/api/v1/{path}", None, JSON)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """What the API answers to the object; Answered, Failed."""
        return self._send("POST", f"/api/v1/{path}", json.dumps(body), JSON)

    def form(self, path: str, fields: dict[str, str]) -> Any:
        """What an OAuth endpoint answers to the form; Answered, Failed."""
        return self._send("POST", f"/oauth2/{path}", urlencode(fields), FORM)

    def _send(self, method: str, path: str, body: str | None, media_type: str) -> Any:
        headers = {"Accept": JSON, "User-Agent": "enrol_key"}
        if body is not None:
            headers["Content-Type"] = media_type
        if self.access:
            headers["Authorization"] = f"Bearer {self.access}"
        try:
            answer = self.pool.request(
                method, self.origin + path, body=body, headers=headers, timeout=TIMEOUT, redirect=False, preload_content=False
            )
            text = answer.read(LONGEST)
            answer.release_conn()
        except SSLError as error:
            raise Failed(f"The certificate of {self.origin} is not valid, so nothing was sent: {_reason(error)}.") from None
        except (HTTPError, OSError) as error:
            raise Failed(
                f"{self.origin} does not answer ({type(error).__name__}). Check the address and the network."
            ) from None
        return self._read(answer.status, dict(answer.headers), text)

    def _read(self, status: int, headers: dict[str, str], text: bytes) -> Any:
        if 300 <= status < 400:
            elsewhere = headers.get("Location", "")[:200]
            raise Failed(
                f"{self.origin} sends on to {elsewhere!r}; nothing is sent there. Give the address that people sign in at."
            )
        try:
            said = json.loads(text) if text else {}
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Failed(f"What answers at {self.origin} is not this service (HTTP status {status}).")
        if status >= 400:
            raise Answered(status, _line(said.get("code") or said.get("error")), _line(said.get("detail")))
        return said

    # ---- who it is --------------------------------------------------------------------------------------------------

    def start(self, username: str, password: str) -> dict[str, Any]:
        """A sign-in after the right password: its handle and the devices that may answer."""
        return dict(self.post("sign-ins", {"username": username, "password": password}))

    def challenge(self, sign_in: str, device: dict[str, Any]) -> dict[str, Any]:
        """What the device needs to answer: a key its options; a code by message goes out."""
        return dict(self.post("sign-ins/challenge", {"sign_in": sign_in, "device": device["uuid"]}))

    def answer(self, sign_in: str, device: dict[str, Any], given: Any) -> None:
        """Both factors passed: this program is signed in, with a fresh proof."""
        self._keep(self.post("sign-ins/answer", {"sign_in": sign_in, "device": device["uuid"], "answer": given}))

    def step_up(self) -> dict[str, Any]:
        """A ceremony that makes the proof of this program fresh again; its access token is a new one."""
        self.access = ""
        self._keep(self.form("token", {"grant_type": "refresh_token", "refresh_token": self.refresh, "client_id": CLIENT}))
        return dict(self.post("step-ups", {}))

    def sign_out(self) -> None:
        """What this program was given is worth nothing any more."""
        token, self.access, self.refresh = self.refresh, "", ""
        if token:
            self.form("revoke", {"token": token, "client_id": CLIENT})

    def _keep(self, pair: dict[str, Any]) -> None:
        self.access, self.refresh = str(pair["access_token"]), str(pair["refresh_token"])

    # ---- what it asks for --------------------------------------------------------------------------------------------

    def person(self, name: str) -> dict[str, Any]:
        """The person of this username or mail address; Failed where that is nobody, or not one."""
        wanted = name.casefold()
        found = self.get(f"admin/users?search={quote(name)}")["users"]
        for column in ("username", "email"):
            those = [row for row in found if str(row[column]).casefold() == wanted]
            if len(those) == 1:
                return dict(those[0])
        raise Failed(f"There is nobody by the name {name!r}. Give a username or a whole mail address.")

    def begin_key(self, person: dict[str, Any], name: str) -> dict[str, Any]:
        """A key of the person's is being enrolled: its device and registration options."""
        return dict(self.post(f"admin/users/{person['uuid']}/keys", {"name": name} if name else {}))

    def confirm_key(self, person: dict[str, Any], device: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """The person's key as it was enrolled."""
        return dict(self.post(f"admin/users/{person['uuid']}/keys/{device['uuid']}/confirm", {"answer": answer}))


def _reason(error: Exception) -> str:
    """What TLS finds wrong, without the library's frame around it."""
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "verify_message", "") or cause).rstrip(".")


def _line(value: Any) -> str:
    """The text as one printable line: what comes from elsewhere is shown on a terminal."""
    return "".join(c if c.isprintable() else " " for c in value)[:300] if isinstance(value, str) else ""
