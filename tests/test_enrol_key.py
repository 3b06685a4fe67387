"""`manage.py enrol_key`: a key in this machine, by CTAP and PIN, enrolled for somebody at a service elsewhere."""

import io
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from desk import plugged_in
from desk.management.commands import enrol_key
from desk.remote import BadAddress, Failed, Service, origin_of
from devices import aaguids
from devices.lifecycle import State
from devices.models import Device
from grants.models import RefreshFamily
from tests import running
from tests.conftest import Person, make_person
from tests.ctap_key import AAGUID, MAKE, PIN, CtapKey, attestation
from tests.running import ROOT, as_setting, database_of_this_test

PIN_OF_BOB = "correct horse"
Line = str | Callable[[], str]


@pytest.fixture
def site(live_server: LiveServer, settings: Any) -> str:
    """The running service's address, which it takes for its own."""
    url = str(live_server.url)
    settings.BASE_URL, settings.RP_ORIGINS = url, frozenset({url})
    settings.ALLOWED_HOSTS = ["localhost"]
    return url


@pytest.fixture
def ada(transactional_db: None) -> Person:
    """The administrator, with an app."""
    return make_person("totp", username="ada", name="Ada Admin", is_staff=True, is_superuser=True)


@pytest.fixture
def nora(transactional_db: None) -> Person:
    """She has no device yet."""
    return make_person(username="nora", name="Nora Newcomer")


class Typed(io.StringIO):
    """What is typed at the command, line by line; a line may do something first."""

    def __init__(self, *lines: Line) -> None:
        super().__init__()
        self.lines = list(lines)

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]
        if not self.lines:
            return ""
        line = self.lines.pop(0)
        return (line if isinstance(line, str) else line()) + "\n"


class Ports:
    """The machine's USB ports."""

    command: enrol_key.Command

    def __init__(self, *keys: CtapKey) -> None:
        self.keys = list(keys)

    def find(self) -> list[CtapKey]:
        return list(self.keys)

    def swap(self, *keys: CtapKey, typed: str = "y") -> Callable[[], str]:
        """These are plugged in instead, while that is typed."""

        def do() -> str:
            self.keys = list(keys)
            return typed

        return do


class Ran:
    """What the command printed, said and ended with."""

    def __init__(self, out: str, said: str, status: int, why: str, typed: Typed) -> None:
        self.out, self.said, self.status, self.why, self.typed = out, said, status, why, typed

    @property
    def keys(self) -> list[dict[str, Any]]:
        return list(json.loads(self.out)["keys"])


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """The command in this process, with the software keys for real ones."""

    def carry_out(
        server: str, ports: Ports, *lines: Line, person: str = "nora", administrator: str = "ada", **more: Any
    ) -> Ran:
        typed, out, err = Typed(*lines), io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdin", typed)
        command = enrol_key.Command(stdout=out, stderr=err, find=ports.find)
        ports.command = command
        status, why = 0, ""
        options = {"server": server, "administrator": administrator, "json": True, "wait": 3.0, **more}
        try:
            call_command(command, person, **options)
        except CommandError as error:
            status, why = error.returncode, str(error)
        return Ran(out.getvalue(), err.getvalue(), status, why, typed)

    return carry_out


def sign_in_with(server: str, person: Person, device: str, key: CtapKey, pin: str = PIN_OF_BOB) -> Service:
    """The person's own sign-in with the key, by CTAP too."""
    service = Service(origin_of(server))
    begun = service.start(person.user.username, person.password)
    [row] = [row for row in begun["devices"] if row["uuid"] == device]
    options = service.challenge(begun["sign_in"], row)["public_key"]
    who = plugged_in.Person("Nora", lambda text: None, lambda question: pin, 3)
    service.answer(begun["sign_in"], row, plugged_in.answer(key, service.origin, options, who))
    return service


# ---- from the beginning to the end ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_keys_in_a_row_with_a_new_pin_at_a_service_in_processes_of_its_own(
    run: Callable[..., Ran], ada: Person, nora: Person, tmp_path: Path, settings: Any
) -> None:
    service = running.Service(tmp_path, DATABASE_URL=database_of_this_test(), KEYS=as_setting(settings.KEYRING))
    server = service.settings["BASE_URL"]
    first, second = CtapKey(min_pin=6), CtapKey(PIN_OF_BOB)
    ports = Ports(first)
    pin = ["short", "correct horse", "correct hose", PIN_OF_BOB, PIN_OF_BOB]
    with service.running():
        ran = run(server, ports, ada.password, ada.code, *pin, ports.swap(second), PIN_OF_BOB, "n", name="Blue key")
        assert (ran.status, ran.why) == (0, ""), ran.said
        for row, key in zip(ran.keys, (first, second), strict=True):
            assert sign_in_with(server, nora, row["uuid"], key).access
    assert [row["name"] for row in ran.keys] == ["Blue key", "Blue key 2"]
    assert json.loads(ran.out)["person"] == {"uuid": str(nora.user.uuid), "username": "nora"}
    rows = Device.objects.filter(user=nora.user, kind="fido2")
    assert {(row.state, row.enrolled_by, row.attestation) for row in rows} == {(State.ACTIVE, ada.user.uuid, "packed")}
    assert ran.said.count("*** You are enrolling a key for Nora Newcomer (nora). ***") == 2
    assert "6 characters or more" in ran.said and "These two were not the same." in ran.said
    for secret in (ada.password, *pin):
        assert secret not in ran.said + ran.out
    assert PIN in first.asked and first.retries == 8 and first.closed and second.closed
    assert RefreshFamily.objects.get(person=ada.user.uuid).ended_for == "revoked", "the administrator was signed out"


def test_it_needs_neither_database_nor_keyring_nor_settings(site: str, ada: Person, nora: Person) -> None:
    script = (
        "import django, sys; django.setup(); from django.core.management import call_command\n"
        "from tests.ctap_key import CtapKey\n"
        "from desk.management.commands.enrol_key import Command; key = CtapKey()\n"
        "call_command(Command(find=lambda: [key]), 'nora', '--server', sys.argv[1], '--as', 'ada', '--json')\n"
        "from django.apps import apps; assert not apps.is_installed('accounts') and 'accounts' not in sys.modules\n"
    )
    lines = "\n".join([ada.password, ada.code(), PIN_OF_BOB, PIN_OF_BOB, ""])
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "mfa_site.client_settings", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script, site],
        input=lines,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [told] = json.loads(done.stdout)["keys"]
    assert Device.objects.get(uuid=told["uuid"]).user == nora.user


def managed(*arguments: str, lines: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`manage.py enrol_key` itself, in an environment that says nothing of a service."""
    command = [sys.executable, "manage.py", "enrol_key", *arguments]
    told = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, cwd=ROOT, env=told, input=lines, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_line(site: str, ada: Person, nora: Person) -> None:
    database = {"MFA_SITE_DATABASE_URL": "postgres://nobody@127.0.0.1:9/none"}
    done = managed("nora", "--server", site, "--as", "ada", "--wait", "0", lines=f"{ada.password}\n{ada.code()}\n", **database)
    assert done.returncode == 1 and "There is no security key in this machine." in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert managed("nora").returncode == 2 and managed("--help").returncode == 0
    plain = managed("nora", "--server", "http://login.example.org")
    assert plain.returncode == 2 and "Only https is safe" in plain.stderr
    assert "Nothing was typed" in managed("nora", "--server", site).stderr


# ---- who asks ---------------------------------------------------------------------------------------------------------


def test_the_administrators_own_key_by_ctap(site: str, run: Callable[..., Ran], nora: Person) -> None:
    bert = make_person("fido2", username="bert", is_staff=True, is_superuser=True)
    own, hers = CtapKey("bert's pin"), CtapKey(PIN_OF_BOB)
    own.held[bert.soft_key.credential_id] = bert.soft_key
    ports = Ports(own)
    ran = run(site, ports, bert.password, ports.swap(hers, typed=""), PIN_OF_BOB, "n", administrator="bert")
    assert ran.status == 0 and len(ran.keys) == 1, (ran.why, ran.said)
    assert "Take your own key out" in ran.said and MAKE not in own.asked, "his own key is not given away"
    other = run(site, Ports(CtapKey()), bert.password, administrator="bert")
    assert (other.status, other.why) == (1, "This is another key than the one that was asked for.")


def test_a_wrong_code_is_asked_for_again_and_a_wrong_password_is_not(
    site: str, run: Callable[..., Ran], ada: Person, nora: Person
) -> None:
    key = CtapKey(PIN_OF_BOB)
    ran = run(site, Ports(key), ada.password, ada.wrong_code(), ada.code, PIN_OF_BOB)
    assert ran.status == 0 and "That was not right. Try again." in ran.said and len(ran.keys) == 1
    wrong = run(site, Ports(key), "wrong")
    assert (wrong.status, wrong.why) == (1, "The service refuses: The name and password do not go together.")


def test_the_password_from_a_file(site: str, run: Callable[..., Ran], ada: Person, nora: Person, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(ada.password + "\n")
    ran = run(site, Ports(CtapKey(PIN_OF_BOB)), ada.code, PIN_OF_BOB, password_file=str(path))
    assert ran.status == 0 and len(ran.keys) == 1
    gone = run(site, Ports(), password_file=str(tmp_path / "none"))
    assert gone.status == 1 and "cannot be read" in gone.why


def test_an_old_proof_is_confirmed_and_one_of_several_devices_chosen(
    site: str, run: Callable[..., Ran], nora: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    carl = make_person("totp", "recovery", username="carl", is_staff=True, is_superuser=True)
    monkeypatch.setattr(enrol_key, "FRESH", -1.0)
    codes = [line for code in carl.codes[:3] for line in ("9", "2", code)]
    key, other = CtapKey(PIN_OF_BOB), CtapKey(PIN_OF_BOB)
    ports = Ports(key)
    lines = [carl.password, *codes[:6], PIN_OF_BOB, ports.swap(other), *codes[6:], PIN_OF_BOB, "n"]
    ran = run(site, ports, *lines, administrator="carl")
    assert ran.status == 0 and len(ran.keys) == 2, (ran.why, ran.said)
    assert ran.said.count("confirm that it is you") == 2
    assert RefreshFamily.objects.filter(person=carl.user.uuid).count() == 1, "in the same family"


def test_a_proof_that_grew_old_on_the_way(site: str, run: Callable[..., Ran], nora: Person) -> None:
    carl = make_person("recovery", username="carl", is_staff=True, is_superuser=True)
    ports = Ports(CtapKey())

    def slowly() -> str:
        ports.command.service.access = ports.command.service.access[:-9]  # as when it has run out
        return PIN_OF_BOB

    ran = run(site, ports, carl.password, carl.codes[0], PIN_OF_BOB, slowly, carl.codes[1], administrator="carl")
    assert ran.status == 0 and len(ran.keys) == 1, (ran.why, ran.said)
    assert ran.said.count("confirm that it is you") == 1 and ran.said.count("Touch the key") == 1


# ---- the key ----------------------------------------------------------------------------------------------------------


def begin(ada: Person, *lines: Line) -> list[Line]:
    """What the administrator types to sign in, and then these lines."""
    Device.objects.filter(pk=ada.app.pk).update(counter=-1)
    return [ada.password, ada.code, *lines]


def test_a_wrong_pin(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    key = CtapKey(PIN_OF_BOB)
    ran = run(site, Ports(key), *begin(ada, "wrong", PIN_OF_BOB))
    assert ran.status == 0 and len(ran.keys) == 1
    assert "That is not the PIN of this key. Tries that are left before it is blocked for good: 7." in ran.said
    assert key.retries == 8


def test_a_pin_that_rests_and_one_that_is_blocked(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    key = CtapKey(PIN_OF_BOB)
    ran = run(site, Ports(key), *begin(ada, "wrong", "wrong", "wrong"))
    assert ran.status == 1 and ran.why.startswith("Three wrong PINs in a row: pull the key out") and "left: 5." in ran.why
    key.pull_out()
    key.retries = 1
    blocked = run(site, Ports(key), *begin(ada, "wrong"))
    assert blocked.status == 1 and blocked.why.startswith("The PIN of this key is blocked for good.")
    assert run(site, Ports(key), *begin(ada, PIN_OF_BOB)).why == blocked.why
    assert not Device.objects.filter(user=nora.user, state=State.ACTIVE).exists()


def test_another_try_after_a_trouble(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    bad, good = CtapKey(PIN_OF_BOB), CtapKey(PIN_OF_BOB)
    bad.retries = 0
    ports = Ports(bad)
    ran = run(site, ports, *begin(ada, PIN_OF_BOB, ports.swap(good), PIN_OF_BOB))
    assert ran.status == 0 and len(ran.keys) == 1 and "Try again?" in ran.said


def test_a_pin_that_is_too_simple_for_the_key(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    ran = run(site, Ports(CtapKey()), *begin(ada, "123456", "123456", PIN_OF_BOB, PIN_OF_BOB))
    assert ran.status == 0 and "too simple" in ran.said and len(ran.keys) == 1


def test_without_a_pin_and_without_naming_the_model(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    key = CtapKey()
    ran = run(site, Ports(key), *begin(ada), no_pin=True, attestation="none")
    assert ran.status == 0, (ran.why, ran.said)
    row = Device.objects.get(user=nora.user)
    assert (row.attestation, row.aaguid, row.transports) == ("none", UUID(int=0), ["nfc", "usb"])
    assert PIN not in key.asked and not key.pin_hash
    assert sign_in_with(site, nora, str(row.uuid), key).access


def test_what_the_key_says_of_itself_is_passed_on(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    run(site, Ports(CtapKey(PIN_OF_BOB)), *begin(ada, PIN_OF_BOB))
    row = Device.objects.get(user=nora.user)
    assert (row.attestation, row.aaguid) == ("packed", UUID(bytes=AAGUID)) and row.name == aaguids.name(UUID(bytes=AAGUID))


def test_a_key_where_the_service_asks_for_a_pin(
    site: str, run: Callable[..., Ran], ada: Person, nora: Person, settings: Any
) -> None:
    settings.USER_VERIFICATION = "required"
    ran = run(site, Ports(CtapKey()), *begin(ada), no_pin=True)
    assert ran.status == 1 and "Leave out --no-pin" in ran.why


def test_no_key(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    ran = run(site, Ports(), *begin(ada), wait=0.1)
    assert ran.status == 1 and ran.why == plugged_in.NO_KEY and "Plug in the security key." in ran.said


def test_a_key_that_comes_late(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    ports = Ports()
    threading.Timer(0.8, lambda: ports.keys.append(CtapKey(PIN_OF_BOB))).start()
    ran = run(site, ports, *begin(ada, PIN_OF_BOB), wait=10.0)
    assert ran.status == 0 and len(ran.keys) == 1


def test_nobody_touches_it(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    ran = run(site, Ports(CtapKey(PIN_OF_BOB, touch=False)), *begin(ada, PIN_OF_BOB), wait=0.6)
    assert ran.status == 1 and ran.why == "Nobody touched the key in time." and "Touch the key when it blinks." in ran.said


def test_a_key_that_the_person_has_already(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    key = CtapKey(PIN_OF_BOB)
    ran = run(site, Ports(key), *begin(ada, PIN_OF_BOB, "y", PIN_OF_BOB))
    assert ran.status == 3 and "already registered" in ran.why and len(ran.keys) == 1
    assert len(key.held) == 1 and Device.objects.filter(user=nora.user, state=State.ACTIVE).count() == 1


@pytest.mark.parametrize("version", ["FIDO_2_1", "FIDO_2_0"])
def test_of_several_keys_the_one_that_is_touched(
    site: str, run: Callable[..., Ran], ada: Person, nora: Person, version: str
) -> None:
    others = [CtapKey(PIN_OF_BOB, touch=False, versions=(version,)) for _ in range(2)]
    meant = CtapKey(PIN_OF_BOB, versions=(version,))
    ran = run(site, Ports(others[0], meant, others[1]), *begin(ada, PIN_OF_BOB))
    assert ran.status == 0 and "3 keys are plugged in. Touch the one that is meant." in ran.said
    assert meant.held and not any(other.held for other in others)
    assert all(key.closed for key in (meant, *others))


def test_of_several_keys_none_is_touched(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    keys = [CtapKey(PIN_OF_BOB, touch=False) for _ in range(2)]
    ran = run(site, Ports(*keys), *begin(ada), wait=0.5)
    assert ran.status == 1 and ran.why.startswith("No key was touched.")
    assert not any(MAKE in key.asked for key in keys)


def test_a_key_that_is_pulled_out(
    site: str, run: Callable[..., Ran], ada: Person, nora: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = CtapKey(PIN_OF_BOB)

    def gone(given: Any, blink: Any) -> None:
        raise OSError("no such device")

    monkeypatch.setattr(key, "make", gone)
    ran = run(site, Ports(key), *begin(ada, PIN_OF_BOB))
    assert ran.status == 1 and "stopped answering" in ran.why


# ---- the service ------------------------------------------------------------------------------------------------------


def test_what_the_service_refuses(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    helper = make_person("totp", username="hugo", is_staff=True)
    helper.user.groups.set(Group.objects.filter(name="Helpdesk"))
    key = CtapKey(PIN_OF_BOB)
    ran = run(site, Ports(key), helper.password, helper.code, PIN_OF_BOB, administrator="hugo")
    assert (ran.status, ran.why) == (1, "The service refuses: This person may not do that.") and not key.held
    nobody = run(site, Ports(key), *begin(ada), person="nobody")
    assert nobody.status == 1 and nobody.why.startswith("There is nobody by the name 'nobody'.")
    User.objects.filter(pk=nora.user.pk).update(is_active=False)
    disabled = run(site, Ports(key), *begin(ada, PIN_OF_BOB))
    assert disabled.status == 1 and disabled.why.startswith("The service refuses:") and not key.held


def test_an_address_at_which_nobody_signs_in(
    site: str, run: Callable[..., Ran], ada: Person, nora: Person, settings: Any
) -> None:
    settings.RP_ORIGINS = frozenset({"https://login.example.org"})
    ran = run(site, Ports(CtapKey(PIN_OF_BOB)), *begin(ada, PIN_OF_BOB))
    assert ran.status == 1 and ran.why.startswith(f"The service does not accept this key. Is {site} the address")
    settings.RP_ID = "login.example.org"
    ran = run(site, Ports(CtapKey(PIN_OF_BOB)), *begin(ada, PIN_OF_BOB))
    assert ran.status == 1 and "cannot be used at this address" in ran.why


def test_only_a_whole_name_is_taken_for_a_person(site: str, run: Callable[..., Ran], ada: Person, nora: Person) -> None:
    User.objects.filter(pk=nora.user.pk).update(email="nora@example.org")
    assert run(site, Ports(), *begin(ada), person="nor", wait=0.0).why.startswith("There is nobody")
    assert run(site, Ports(), *begin(ada), person="NORA@example.org", wait=0.0).why == plugged_in.NO_KEY


class Elsewhere(BaseHTTPRequestHandler):
    """Something that is not this service."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("sign-ins"):
            self.send_response(302 if self.server.sends_on else 200)  # type: ignore[attr-defined]
            self.send_header("Location", "http://evil.example/")
            self.end_headers()
            self.wfile.write(b"<h1>Welcome</h1>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts it, with or without TLS; its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(*, tls: bool = False, sends_on: bool = False) -> str:
        server = ThreadingHTTPServer(("localhost", 0), Elsewhere)
        server.sends_on = sends_on  # type: ignore[attr-defined]
        if tls:
            der, key = attestation()
            path = tmp_path / "server.pem"
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode()
            path.write_text(pem + ssl.DER_cert_to_PEM_cert(der))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http{'s' if tls else ''}://localhost:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_certificate_that_is_not_valid(run: Callable[..., Ran], elsewhere: Callable[..., str]) -> None:
    ran = run(elsewhere(tls=True), Ports(), "a password")
    assert ran.status == 1 and "is not valid, so nothing was sent: self-signed certificate" in ran.why


def test_a_server_that_sends_on_or_is_another(run: Callable[..., Ran], elsewhere: Callable[..., str]) -> None:
    assert (
        "sends on to 'http://evil.example/'; nothing is sent there" in run(elsewhere(sends_on=True), Ports(), "a password").why
    )
    assert "is not this service (HTTP status 200)" in run(elsewhere(), Ports(), "a password").why


def test_nobody_answers(run: Callable[..., Ran]) -> None:
    ran = run("http://localhost:9", Ports(), "a password")
    assert ran.status == 1 and ran.why.startswith("http://localhost:9 does not answer")


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://Login.Example.org/", "https://login.example.org"),
        ("https://login.example.org:443", "https://login.example.org"),
        ("https://login.example.org:8443", "https://login.example.org:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("https://[::1]:8000", "https://[::1]:8000"),
    ],
)
def test_addresses_of_services(given: str, origin: str) -> None:
    assert origin_of(given) == origin


@pytest.mark.parametrize(
    "given",
    [
        *("http://login.example.org", "http://127.0.0.1:8000", "http://localhost.example.org", "ftp://localhost", "localhost"),
        *("", "https://", "https://a:b@login.example.org", "https://login.example.org/x", "https://login.example.org?x=1"),
        *("https://login.example.org:99999", "https://" + "a" * 70 + ".example", "https://a..example"),
    ],
)
def test_what_is_no_address_of_a_service(given: str) -> None:
    with pytest.raises(BadAddress):
        origin_of(given)


def test_what_comes_from_elsewhere_cannot_steer_the_terminal(run: Callable[..., Ran]) -> None:
    err = io.StringIO()
    command = enrol_key.Command(stdout=io.StringIO(), stderr=err)
    command.say("name\x1b[2J\x07 of\r somebody")
    assert "\x1b" not in err.getvalue() and "\r" not in err.getvalue() and "\x07" not in err.getvalue()
    with pytest.raises(Failed) as caught:
        Service("http://localhost")._read(400, {}, b'{"code": "x", "detail": "a\\u001b[2Jb"}')
    assert "\x1b" not in str(caught.value)
