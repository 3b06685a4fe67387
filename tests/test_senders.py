"""Each way in which a message leaves, against a real server: what it says to it, and what becomes of its faults."""

import base64
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from devices import senders
from devices.senders import MaybeSent, NotSent, http, mail
from mfa_site import env, servers
from tests.gateway import Gateway, running
from tests.post_office import PostOffice, post_office

TEXT = "123456 is your code.\n\n@localhost #123456"


@pytest.fixture
def gateway(settings: Any) -> Iterator[Gateway]:
    with running() as state:
        settings.SMS_URL = state.url
        yield state


def test_json_with_a_token(gateway: Gateway) -> None:
    senders.send("+4915123456789", TEXT, "dev.7")
    assert gateway.messages == [{"to": "+4915123456789", "text": TEXT, "ref": "dev.7"}]
    [(path, headers)] = gateway.asked
    assert path == "/send?account=7" and headers["authorization"] == "Bearer a-token"


def test_json_with_a_name_and_a_password(gateway: Gateway, settings: Any) -> None:
    settings.SMS_URL = gateway.url.replace("a-token@", "us%40er:p%3Aw@")
    senders.send("+4915123456789", TEXT, "dev.7")
    assert gateway.asked[0][1]["authorization"] == "Basic " + base64.b64encode(b"us@er:p:w").decode()


def test_as_twilio_takes_it(gateway: Gateway, settings: Any) -> None:
    settings.SMS_URL = gateway.twilio
    senders.send("+4915123456789", TEXT, "dev.7")
    [message] = gateway.messages
    assert (message["To"], message["From"], message["Body"]) == ("+4915123456789", "+15550006789", TEXT)
    path, headers = gateway.asked[0]
    assert path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert headers["authorization"] == "Basic " + base64.b64encode(b"AC1:a/token").decode()
    settings.SMS_URL = gateway.twilio.replace("from=+15550006789", "messaging_service=MG9")
    senders.send("+4915123456789", TEXT, "dev.7")
    assert gateway.messages[1]["MessagingServiceSid"] == "MG9" and "From" not in gateway.messages[1]


def test_on_the_terminal(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.SMS_URL = "console:"
    senders.send("+4915123456789", TEXT, "dev.7")
    assert "SMS to +4915123456789" in capsys.readouterr().out


@pytest.mark.parametrize(("status", "again"), [(400, False), (401, False), (302, False), (500, True), (503, True)])
def test_a_gateway_that_says_no(gateway: Gateway, status: int, again: bool) -> None:
    gateway.status = status
    with pytest.raises(NotSent) as caught:
        senders.send("+4915123456789", TEXT, "dev.7")
    assert caught.value.again is again and TEXT not in str(caught.value) and "49151" not in str(caught.value)
    assert len(gateway.asked) == 1, "asked once, and no redirect followed"


def test_a_gateway_that_is_not_there(settings: Any) -> None:
    settings.SMS_URL = "http://a-token@127.0.0.1:1/send"
    with pytest.raises(NotSent) as caught:
        senders.send("+4915123456789", TEXT, "dev.7")
    assert caught.value.again and "a-token" not in str(caught.value)


def test_a_gateway_that_takes_the_message_and_says_nothing(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ", 0.3)
    gateway.pause = 1.5
    began = time.monotonic()
    with pytest.raises(MaybeSent):
        senders.send("+4915123456789", TEXT, "dev.7")
    assert time.monotonic() - began < 1


def hang_up(handler: Any) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def noise(handler: Any) -> None:
    handler.wfile.write(b"\x00\xff not http \r\n\r\n")


@pytest.mark.parametrize("behave", [hang_up, noise])
def test_a_gateway_of_which_nobody_knows_what_it_did(gateway: Gateway, behave: Any) -> None:
    gateway.behave = behave
    with pytest.raises(MaybeSent):
        senders.send("+4915123456789", TEXT, "dev.7")


def endless(handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(10_000):
            handler.wfile.write(b"x" * 5_000)
    except OSError:
        pass


def test_an_endless_answer_is_not_read(gateway: Gateway) -> None:
    gateway.behave = endless
    began = time.monotonic()
    senders.send("+4915123456789", TEXT, "dev.7")
    assert time.monotonic() - began < 2


def trickling(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "2000")
    handler.end_headers()
    try:
        for _ in range(30):
            handler.wfile.write(b"x")
            time.sleep(0.1)
    except OSError:
        pass


def test_an_answer_that_trickles_is_not_waited_for(gateway: Gateway) -> None:
    gateway.behave = trickling
    began = time.monotonic()
    senders.send("+4915123456789", TEXT, "dev.7")
    assert time.monotonic() - began < 1


@contextmanager
def answering(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of something that does this with each connection, as long as it takes; what it lets go of is closed."""
    listener, held = socket.create_server(("127.0.0.1", 0)), []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                held.append(connection)
                with suppress(OSError):
                    behave(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        for each in (listener, *held):
            each.close()


def silence(connection: socket.socket) -> None:
    """It takes the connection and says nothing."""


def plain_http(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    connection.close()


@pytest.mark.parametrize("behave", [silence, plain_http, socket.socket.close])
def test_where_no_tls_comes_about_nothing_went_out(settings: Any, monkeypatch: pytest.MonkeyPatch, behave: Any) -> None:
    monkeypatch.setattr(http, "CONNECT", 0.3)
    with answering(behave) as port:
        settings.SMS_URL = f"https://a-token@127.0.0.1:{port}/send"
        with pytest.raises(NotSent) as caught:
            senders.send("+4915123456789", TEXT, "dev.7")
    assert caught.value.again


def test_a_certificate_that_nobody_vouches_for_is_not_talked_to(settings: Any, tmp_path: Any) -> None:
    context, read = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(self_signed(tmp_path))

    def tls(connection: socket.socket) -> None:
        read.append(context.wrap_socket(connection, server_side=True).recv(1000))

    with answering(tls) as port:
        settings.SMS_URL = f"https://a-token@127.0.0.1:{port}/send"
        with pytest.raises(NotSent):
            senders.send("+4915123456789", TEXT, "dev.7")
    assert not any(read)


def test_a_certificate_of_a_known_authority_is(settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self_signed(tmp_path)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)

    def tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            got = b""
            while b"ref" not in got:  # all of it: closing with some of it unread would look like a fault
                got += wrapped.recv(4000)
            wrapped.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    with answering(tls) as port:
        settings.SMS_URL = f"https://a-token@127.0.0.1:{port}/send"
        senders.send("+4915123456789", TEXT, "dev.7")
        settings.SMS_URL = f"https://a-token@localhost:{port}/send"
        with pytest.raises(NotSent):  # of another name
            senders.send("+4915123456789", TEXT, "dev.7")


def self_signed(folder: Any) -> str:
    path = folder / "server.pem"
    subject = [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-days",
        "1",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]
    made = ["openssl", "req", "-x509", "-nodes", *subject, "-keyout", str(path), "-out", str(folder / "c.pem")]
    subprocess.run(made, check=True, capture_output=True)
    path.write_text(path.read_text() + (folder / "c.pem").read_text())
    return str(path)


# ---- mail --------------------------------------------------------------------------------------------------------------


def test_a_mail_has_the_code_in_its_body_alone(settings: Any) -> None:
    with post_office(settings) as office:
        mail.send("ada@example.org", "Your code is 12345678.", "dev.7")
        [got] = office.mails
    assert got["To"] == "ada@example.org" and "12345678" in got.get_content() and "12345678" not in str(got["Subject"])
    assert got["Message-ID"].startswith("<dev.7@") and got["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(("says", "again"), [("550 nobody", False), ("450 later", True)])
@pytest.mark.parametrize("when", ["refuse_recipient", "refuse_data"])
def test_a_mail_server_that_says_no(settings: Any, when: str, says: str, again: bool) -> None:
    with post_office(settings) as office:
        setattr(office, when, says)
        with pytest.raises(NotSent) as caught:
            mail.send("ada@example.org", "Your code is 12345678.", "dev.7")
    assert caught.value.again is again and "12345678" not in str(caught.value)


def test_a_mail_server_that_is_not_there(settings: Any) -> None:
    office = PostOffice()
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    settings.EMAIL_PORT = office.port
    with pytest.raises(NotSent) as caught:
        mail.send("ada@example.org", "Your code is 12345678.", "dev.7")
    assert caught.value.again


@pytest.mark.parametrize("behave", [silence, socket.socket.close])
def test_a_mail_server_that_does_not_greet_has_taken_nothing(settings: Any, behave: Any) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    with answering(behave) as port:
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = port, 0.3
        with pytest.raises(NotSent) as caught:
            mail.send("ada@example.org", "Your code is 12345678.", "dev.7")
    assert caught.value.again


def falls_silent(connection: socket.socket) -> None:
    """It takes a whole mail and never says that it did."""
    connection.sendall(b"220 here\r\n")
    for line in connection.makefile("rb"):
        if line == b"data\r\n":
            connection.sendall(b"354 go on\r\n")
            return
        connection.sendall(b"250 OK\r\n")


def test_a_mail_server_that_falls_silent_may_have_taken_it(settings: Any) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    with answering(falls_silent) as port:
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = port, 0.3
        with pytest.raises(MaybeSent):
            mail.send("ada@example.org", "Your code is 12345678.", "dev.7")


# ---- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://secret@gw.example.org/send",
        "https://user:secret@gw.example.org:8443/send?x=1",
        "http://secret@localhost:9000/send",
        "twilio://AC1:secret@api.twilio.com/?from=+15550006789",
        "twilio://AC1:secret@api.twilio.com/?messaging_service=MG1",
        "console:",
        "",
    ],
)
def test_a_gateway_of_the_settings(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MFA_SITE_SMS_URL", url)
    assert servers.sms("") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://secret@gw.example.org/send",
        "ftp://secret@gw.example.org/",
        "https://",
        "https://secret@:99999/",
        "https://secret@host:99999/",
        "twilio://AC1:secret@api.twilio.com/",
        "twilio://AC1@api.twilio.com/?from=+1secret",
        "twilio://AC1:secret@api.twilio.com/?from=+1&messaging_service=MG1",
        "secret",
        "smpp://secret:secret@host/",
    ],
)
def test_a_gateway_that_is_none_stops_the_start_without_its_secret(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MFA_SITE_SMS_URL", url)
    with pytest.raises(ImproperlyConfigured) as caught:
        servers.sms("")
    assert "SMS_URL" in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "1" * 12, "١٢"])
def test_a_number_of_the_settings_is_one(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MFA_SITE_SMS_PER_DAY", value)
    with pytest.raises(ImproperlyConfigured):
        env.number("SMS_PER_DAY", 1000)


@pytest.mark.parametrize(("value", "countries"), [("", set()), ("de, AT", {"DE", "AT"})])
def test_countries_of_the_settings(monkeypatch: pytest.MonkeyPatch, value: str, countries: set[str]) -> None:
    monkeypatch.setenv("MFA_SITE_SMS_COUNTRIES", value)
    assert servers.sms_countries() == countries


@pytest.mark.parametrize("value", ["UK", "DE;AT", "Germany", "+49", "001"])
def test_what_is_no_country_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MFA_SITE_SMS_COUNTRIES", f"DE,{value}")
    with pytest.raises(ImproperlyConfigured) as caught:
        servers.sms_countries()
    assert value.upper() in str(caught.value)
