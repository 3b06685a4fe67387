"""What stops the start, each in a process of its own, and what the shipped settings look like."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mfa_site import servers
from tests.running import PATIENCE, Service, as_setting

ROOT = Path(__file__).resolve().parent.parent
KEY = base64.b64encode(os.urandom(32)).decode()
PRODUCTION = {
    "MFA_SITE_BASE_URL": "https://login.example.org",
    "MFA_SITE_SECRET_KEY": "k" * 20 + "9Jq2vLw8Zr4Tn6Yp1Xs3Bd5Fg7Hj0Mc",
    "MFA_SITE_KEYS": f"k1:{KEY}",
    "MFA_SITE_DATABASE_URL": "sqlite:///var/never-made.sqlite3",
}


def start(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check` in production settings with these changes; an empty value takes a setting away."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MFA_SITE_", "DJANGO_"))}
    environment |= {**PRODUCTION, **{f"MFA_SITE_{name}": value for name, value in changes.items()}}
    environment = {name: value for name, value in environment.items() if value}
    command = [sys.executable, "manage.py", *(arguments or ("check",))]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_production_settings_start_and_the_deploy_check_is_clean() -> None:
    checked = start("check", "--deploy", "--fail-level", "INFO")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"EMAIL_URL": "mail.example.org"}, "EMAIL_URL is console: or smtp://"),
        ({"EMAIL_URL": "smtp://mail.example.org:x"}, "EMAIL_URL is console: or smtp://"),
        ({"EMAIL_URL": "smtp://mail.example.org/?tls=no"}, "EMAIL_URL is console: or smtp://"),
        ({"EMAIL_FROM": "MFA <mfa@example.org>"}, "it is one mail address"),
        ({"EMAIL_FROM": "a@b.org\nBcc: c@d.org"}, "it is one mail address"),
        ({"BASE_URl": "x"}, "Did you mean MFA_SITE_BASE_URL"),
        ({"BASEURL": "x"}, "Did you mean MFA_SITE_BASE_URL"),
        ({"DEBUG": "yes"}, "it can be 0 or 1"),
        ({"DEBUG": "1"}, "run only on localhost"),
        ({"DEMO": "1"}, "run only on localhost"),
        ({"BASE_URL": ""}, "BASE_URL is required"),
        ({"BASE_URL": "http://login.example.org"}, "plain http and not localhost"),
        ({"BASE_URL": "http://127.0.0.1:8000"}, "plain http and not localhost"),
        ({"BASE_URL": "https://login.example.org/path"}, "a scheme, a host"),
        ({"BASE_URL": "https://user@login.example.org"}, "a scheme, a host"),
        ({"BASE_URL": "login.example.org"}, "a scheme, a host"),
        ({"SECRET_KEY": ""}, "SECRET_KEY (or MFA_SITE_SECRET_KEY_FILE) is required"),
        ({"SECRET_KEY": "django-insecure-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, "sample or too short"),
        ({"SECRET_KEY": "short"}, "sample or too short"),
        ({"SECRET_KEY_FALLBACKS": "short"}, "sample or too short"),
        ({"KEYS": ""}, "KEYS (or MFA_SITE_KEYS_FILE) is required"),
        ({"KEYS": "k1:AAAA"}, "32 random bytes"),
        ({"KEYS": "k1:" + base64.b64encode(bytes(32)).decode()}, "32 random bytes"),
        ({"RP_ID": "other.org"}, "does not match the origin"),
        ({"RP_ID": "org"}, "does not match the origin"),
        ({"RP_ID": "ample.org"}, "does not match the origin"),
        ({"RP_ORIGINS": "https://evil.example"}, "does not match the origin"),
        ({"RP_ORIGINS": "http://login.example.org"}, "is not https"),
        ({"USER_VERIFICATION": "require"}, "it can be discouraged or required"),
        ({"TRUSTED_PROXIES": "x"}, "number of hops"),
        ({"LOG_FORMAT": "xml"}, "text or json"),
        ({"DATABASE_URL": "mysql://x"}, "sqlite:// or postgres://"),
        ({"SECRET_KEY_FILE": "/nowhere"}, "are both set"),
        ({"SECRET_KEY": "", "SECRET_KEY_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_unsafe_settings_stop_the_start_and_say_why(changes: dict[str, str], said: str) -> None:
    started = start(**changes)
    assert started.returncode != 0
    assert said in started.stderr


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(PRODUCTION["MFA_SITE_SECRET_KEY"] + "\n")
    assert start(SECRET_KEY="", SECRET_KEY_FILE=str(tmp_path / "secret")).returncode == 0


def test_a_parent_domain_may_be_the_rp_id() -> None:
    assert start(RP_ID="example.org", RP_ORIGINS="https://login.example.org,https://app.example.org").returncode == 0


def test_demo_people_exist_only_in_debug_and_demo() -> None:
    refused = start("seed_demo")
    assert refused.returncode == 1
    assert "only with MFA_SITE_DEBUG=1 or MFA_SITE_DEMO=1" in refused.stderr


@pytest.mark.parametrize(
    "command",
    [
        "seed_demo",
        "create_person",
        "how_to_get_in",
        "settings_reference",
        "rotate_keys",
        "rotate_signing_keys",
        "verify_audit",
        "worker",
    ],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    told = start(command, "--help")
    assert told.returncode == 0
    assert f"manage.py {command}" in " ".join(told.stdout.split("Example:")[1].split())


# ---- the keyring and the database ---------------------------------------------------------------------------------------

K1, OTHER_K1, K2 = ({name: os.urandom(32)} for name in ("k1", "k1", "k2"))


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A service whose database was made with K1."""
    service = Service(tmp_path, KEYS=as_setting(K1), DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    made = service.manage("migrate", "--verbosity", "0")
    assert made.returncode == 0, made.stderr
    return service


def eventually(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < until:
        time.sleep(0.1)
    return true()


@pytest.mark.parametrize("ring", [K2, OTHER_K1], ids=["another id", "the same id"])
def test_with_another_keyring_nothing_starts_and_one_line_says_why(service: Service, ring: dict[str, bytes]) -> None:
    service.settings["KEYS"] = as_setting(ring)
    said = (
        "MFA_SITE_KEYS is not the keyring of this database: its stored key audit, sealed with k1, "
        f"does not open with the ring {next(iter(ring))}.\n"
    )
    assert service.exit_code(workers=2) != 0
    assert set(service.log.read_text().splitlines(keepends=True)) <= {
        said,
        "[ERROR] Unexpected exit from worker-1\n",
        "[ERROR] Unexpected exit from worker-2\n",
    }
    assert said in service.log.read_text()
    for command in (("migrate", "--verbosity", "0"), ("worker", "--once")):
        refused = service.manage(*command)
        assert (refused.returncode, refused.stderr) == (1, said), command


def test_a_ring_that_lacks_no_stored_key_starts(service: Service) -> None:
    service.settings["KEYS"] = as_setting({**K2, **K1})
    assert service.manage("worker", "--once").returncode == 0
    with service.running(workers=1):
        assert service.call("GET", "/readyz") == (200, {"database": "ok", "cache": "ok", "keyring": "ok"})


def test_a_setting_that_stops_the_start_is_one_line_for_the_server_too(service: Service) -> None:
    service.settings["KEYS"] = "k1:AAAA"
    assert service.exit_code(workers=1) != 0
    assert "32 random bytes" in service.log.read_text() and "Traceback" not in service.log.read_text()


@pytest.mark.parametrize("ring", [K1, K2], ids=["its keyring", "another keyring"])
def test_a_database_that_is_away_at_the_start_is_waited_for_and_nothing_is_let_through(
    service: Service, tmp_path: Path, ring: dict[str, bytes]
) -> None:
    assert service.manage("seed_demo").returncode == 0
    (tmp_path / "back").mkdir()
    for file in tmp_path.glob("db.sqlite3*"):
        file.rename(tmp_path / "back" / file.name)
    (tmp_path / "link.sqlite3").symlink_to(tmp_path / "there" / "db.sqlite3")
    service.settings |= {"DATABASE_URL": f"sqlite:///{tmp_path}/link.sqlite3", "KEYS": as_setting(ring)}
    password = {"username": "alice", "password": "alice-demo-password"}
    with service.running(workers=1):
        assert "started without a database" in service.log.read_text()
        assert service.call("GET", "/readyz")[0] == 503
        status, told = service.call("POST", "/api/v1/sign-ins", password)
        assert (status, told["code"]) == (503, "unavailable")
        (tmp_path / "back").rename(tmp_path / "there")
        if ring is K1:
            assert eventually(lambda: service.call("GET", "/readyz")[0] == 200)
            assert service.call("POST", "/api/v1/sign-ins", password)[0] == 201
        else:
            assert eventually(
                lambda: service.call("GET", "/readyz")[0] == 503 and "unavailable: CannotOpen" in service.log.read_text()
            )
            assert service.call("POST", "/api/v1/sign-ins", password)[0] == 503


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", (25, "", "", False, False)),
        ("smtp://user:p%40ss@mail.example.org:2525", (2525, "user", "p@ss", False, False)),
        ("smtp://mail.example.org?tls=1", (587, "", "", True, False)),
        ("smtp+tls://user:pass@mail.example.org/", (587, "user", "pass", True, False)),
        ("smtps://mail.example.org", (465, "", "", False, True)),
    ],
)
def test_where_mail_goes(url: str, expected: tuple[object, ...]) -> None:
    names = ("EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_USE_TLS", "EMAIL_USE_SSL")
    found = servers.email(url)
    assert tuple(found[name] for name in names) == expected and found["EMAIL_HOST"] == "mail.example.org"
