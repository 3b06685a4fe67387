"""The WSGI application itself, below what a test client passes through."""

import io
import logging
from typing import Any

import pytest

from mfa_site import logs
from mfa_site.handler import Application
from tests.conftest import Person

application = Application()
pytestmark = pytest.mark.django_db(transaction=True)

STRANGE = ["unicode_escape", "raw_unicode_escape", "utf-16", "nothing", "\xff"]
CHARSETS = ["hex", "rot13", "zlib", "undefined", "punycode", "idna", *STRANGE]


def call(method: str, path: str, body: bytes = b"", **environ: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request."""
    seen: dict[str, Any] = {}
    path, _, query = path.partition("?")
    given = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "HTTP_HOST": "localhost:8000",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        **environ,
    }

    def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        seen["status"], seen["headers"] = int(status.split()[0]), dict(headers)

    text = b"".join(application(given, start))
    return seen["status"], seen["headers"], text


@pytest.mark.parametrize("charset", CHARSETS)
def test_no_charset_that_a_client_names_is_a_fault(alice: Person, charset: str) -> None:
    assert call("GET", "/livez?a=b", CONTENT_TYPE=f"a/b; charset={charset}")[0] == 200
    form = f"application/x-www-form-urlencoded; charset={charset}"
    status, _, text = call("POST", "/oauth2/token", b"grant_type=refresh_token&refresh_token=x", CONTENT_TYPE=form)
    assert (status, text) == (400, b'{"error": "invalid_grant"}')
    parts = b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\n\\ud800\r\n--x--\r\n'
    for kind in (f"multipart/form-data; boundary=x; charset={charset}", form):
        assert call("POST", "/sign-in/", parts, CONTENT_TYPE=kind)[0] == 403, "no CSRF field, and no fault"
    json = f"application/json; charset={charset}"
    body = b'{"username": "alice", "password": "a-long-enough-password"}'
    assert call("POST", "/api/v1/sign-ins", body, CONTENT_TYPE=json)[0] == 201


def test_a_foreign_host_gets_the_whole_frame() -> None:
    status, headers, _ = call("GET", "/sign-in/", HTTP_HOST="evil.example")
    assert status == 400
    assert "Content-Security-Policy" in headers and "X-Request-ID" in headers and headers["Cache-Control"] == "no-store"


def test_by_number_on_this_machine_one_is_led_to_the_name(settings: Any) -> None:
    status, headers, _ = call("GET", "/sign-in/?next=/account/", HTTP_HOST="127.0.0.1:8000")
    assert (status, headers["Location"]) == (302, "http://localhost:8000/sign-in/?next=/account/")
    assert call("POST", "/sign-in/", HTTP_HOST="127.0.0.1:8000")[0] == 400
    assert call("GET", "/readyz", HTTP_HOST="10.1.2.3")[0] == 200, "probes ask by address"
    settings.LOCAL = False
    status, _, text = call("GET", "/sign-in/", HTTP_HOST="127.0.0.1:8000")
    assert status == 400 and b"This service answers only at http://localhost:8000." in text


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_every_line_of_the_log_has_the_request_id(log_format: str) -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    settings = logs.config(log_format)["formatters"]["line"]
    handler.setFormatter(settings.pop("()")(**settings))
    logging.getLogger("django.request").addHandler(handler)
    try:
        call("GET", "/nothing-here/", HTTP_X_REQUEST_ID="find-me-123")
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    assert "find-me-123" in lines.getvalue() and lines.getvalue().count("\n") == 1


def test_a_body_that_breaks_off_is_no_fault() -> None:
    class Broken(io.BytesIO):
        def read(self, *args: Any) -> bytes:
            raise OSError("gone")

    environ: dict[str, Any] = {"CONTENT_LENGTH": "10", "CONTENT_TYPE": "application/json", "wsgi.input": Broken()}
    assert call("POST", "/api/v1/sign-ins", **environ)[0] == 400
