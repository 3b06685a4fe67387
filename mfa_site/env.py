"""Settings from the environment: `MFA_SITE_<NAME>`, and for secrets also `MFA_SITE_<NAME>_FILE`.

`SETTINGS` is the whole list; an unknown `MFA_SITE_` variable stops the start and names the nearest one.
"""

import base64
import contextlib
import difflib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

PREFIX = "MFA_SITE_"

# name -> (default as people read it, meaning); docs/reference/settings.md is made from this.
SETTINGS: dict[str, tuple[str, str]] = {
    "BASE_URL": (
        "`http://localhost:8000` in DEBUG and DEMO, else required",
        "scheme, host and port that people use; allowed hosts, CSRF origins, RP ID and token issuer follow from it",
    ),
    "DEBUG": ("`0`", "development: secrets are generated, demo people are allowed; only on localhost"),
    "DEMO": ("`0`", "demo people on a service that otherwise runs as in production; only on localhost"),
    "SECRET_KEY": ("generated into `var/` in DEBUG and DEMO, else required", "Django's signing key"),
    "SECRET_KEY_FALLBACKS": ("none", "earlier signing keys, separated by commas"),
    "KEYS": (
        "generated into `var/` in DEBUG and DEMO, else required",
        "keyring for secrets at rest: `id:base64,id:base64`, 32 bytes each, the first encrypts",
    ),
    "DATABASE_URL": ("`sqlite:///var/db.sqlite3`", "SQLite, or `postgres://user:password@host:port/name`"),
    "CACHE_URL": (
        "none: the database",
        "Redis or Valkey for the password limits: `redis://` or `rediss://user:password@host:port/number`, with `noeviction`",
    ),
    "EMAIL_URL": (
        "`console:` in DEBUG, else none: no mail is sent",
        "`smtp://user:password@host:port`; `smtp+tls://` (or `?tls=1`) with STARTTLS, `smtps://` with TLS from the start",
    ),
    "EMAIL_FROM": ("`noreply@` and the host of the base URL", "address from which mail is sent"),
    "EMAIL_CODES": ("`0`", "`1`: people may sign in with a code by mail, to their own security pages alone (`aal1`)"),
    "SMS_URL": (
        "`console:` in DEBUG, else none: no text messages",
        "gateway: `https://token@host/path` for JSON, `twilio://SID:TOKEN@api.twilio.com/?from=+1…`",
    ),
    "SMS_PER_DAY": ("`1000`", "text messages a day in all; a limit on what a flood can cost"),
    "SMS_PER_COUNTRY": ("`500`", "text messages a day to one country calling code"),
    "SMS_COUNTRIES": ("none: all", "countries to which text messages go, as `DE,AT,CH`"),
    "RP_ID": ("host of the base URL", "WebAuthn relying party ID: the host or a parent domain of it"),
    "RP_NAME": ("`MFA Site`", "name that authenticator apps and browsers show"),
    "RP_ORIGINS": ("origin of the base URL", "origins from which security keys are accepted, separated by commas"),
    "USER_VERIFICATION": (
        "`discouraged`",
        "`required`: security keys must ask for their PIN or finger; old U2F keys cannot",
    ),
    "TEMPORARY_ACR": (
        "`aal1`",
        "what a temporary code opens: one's own security pages and enrolment, or with `aal2` everything",
    ),
    "ATTESTATION_ANCHORS": (
        "none",
        "PEM file with certificates of makers of security keys whose attestation counts as certified, beside the FIDO metadata",
    ),
    "FIDO_METADATA": (
        "none",
        "where the FIDO metadata is kept, which `manage.py update_metadata` fetches; for policies that ask for attestation",
    ),
    "FIDO_METADATA_URL": ("`https://mds3.fidoalliance.org/`", "where `update_metadata` fetches it"),
    "FIDO_METADATA_ROOT": ("GlobalSign Root CA - R3", "PEM file with the one certificate to which its signature has to lead"),
    "YUBICO_URL": (
        "none: only YubiKeys from a seed file",
        "validation server of Yubico OTPs, `https://…/wsapi/2.0/verify`; or several, separated by commas",
    ),
    "YUBICO_ID": ("none", "this service's number there"),
    "YUBICO_KEY": ("none", "its API key there, in base64"),
    "TRUSTED_PROXIES": ("`0`", "how many hops of `X-Forwarded-For` to believe"),
    "LOG_FORMAT": ("`text` in DEBUG, else `json`", "`text` or `json`"),
}
SECRETS = {"SECRET_KEY", "SECRET_KEY_FALLBACKS", "KEYS", "DATABASE_URL", "CACHE_URL", "EMAIL_URL", "SMS_URL", "YUBICO_KEY"}
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


def refuse_unknown(environ: Mapping[str, str] = os.environ) -> None:
    """Every `MFA_SITE_` variable is one of ours, else ImproperlyConfigured names the nearest one."""
    known = {PREFIX + name for name in SETTINGS} | {f"{PREFIX}{name}_FILE" for name in SECRETS}
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ImproperlyConfigured(f"{name} is not a setting of this service.{hint}")


def text(name: str, default: str = "") -> str:
    """The setting's value, for a secret also from the file that `…_FILE` names; ImproperlyConfigured if both are set."""
    value = os.environ.get(PREFIX + name, "")
    path = os.environ.get(f"{PREFIX}{name}_FILE", "") if name in SECRETS else ""
    if value and path:
        raise ImproperlyConfigured(f"{PREFIX}{name} and {PREFIX}{name}_FILE are both set; keep one.")
    if path:
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{PREFIX}{name}_FILE cannot be read: {error.strerror}.") from None
    return value or default


def flag(name: str) -> bool:
    """True for 1, false for 0 or nothing; anything else is ImproperlyConfigured."""
    value = text(name, "0")
    if value not in ("0", "1"):
        raise ImproperlyConfigured(f"{PREFIX}{name} is {value!r}; it can be 0 or 1.")
    return value == "1"


def listed(name: str) -> list[str]:
    """The comma-separated values."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def generated(name: str, folder: Path, make: Any, allowed: bool) -> str:
    """The secret from the environment; in DEBUG and DEMO else from `folder`, made there once by one process."""
    if value := text(name):
        return value
    if not allowed:
        raise ImproperlyConfigured(f"{PREFIX}{name} (or {PREFIX}{name}_FILE) is required; see docs/reference/settings.md.")
    path = folder / f"{name.lower()}.txt"
    folder.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        # Written aside and linked into place: of two processes that start together, both read the first one's.
        aside = folder / f".{name.lower()}.{secrets.token_hex(8)}"
        aside.touch(mode=0o600)
        aside.write_text(make(), encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
    return path.read_text(encoding="utf-8").strip()


def new_secret_key() -> str:
    """400 random bits."""
    return secrets.token_urlsafe(50)


def new_keyring() -> str:
    """A keyring of one random AES-256 key."""
    return "k1:" + base64.b64encode(secrets.token_bytes(32)).decode()


def base_url(local: bool) -> str:
    """Scheme, host and port without a trailing slash; plain http only on localhost."""
    value = text("BASE_URL", "http://localhost:8000" if local else "").rstrip("/")
    if not value:
        raise ImproperlyConfigured(f"{PREFIX}BASE_URL is required, for example https://login.example.org.")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or "@" in parts.netloc:
        raise ImproperlyConfigured(f"{PREFIX}BASE_URL is {value!r}; it is a scheme, a host and perhaps a port.")
    if parts.scheme == "http" and parts.hostname != "localhost":
        raise ImproperlyConfigured(f"{PREFIX}BASE_URL is plain http and not localhost; security keys and cookies need https.")
    if local and parts.hostname not in LOCAL_HOSTS and not parts.hostname.endswith(".localhost"):
        raise ImproperlyConfigured(f"{PREFIX}DEBUG and {PREFIX}DEMO run only on localhost, not on {parts.hostname}.")
    return value


def database(url: str, root: Path) -> dict[str, Any]:
    """Django's DATABASES entry for a sqlite or postgres URL."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = root / unquote(parts.path[1:])
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": path,
            "OPTIONS": {
                # IMMEDIATE: a writer waits at its first statement instead of failing in the middle.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
            "CONN_MAX_AGE": None,
            # A file, so that threads of the race tests have connections of their own.
            "TEST": {"NAME": path.with_name(f"test-{path.name}")},
        }
    if parts.scheme in ("postgres", "postgresql"):
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            # A connection per request costs 16 ms of CPU; the pool keeps them open and drops dead ones. It is as large as
            # the server has threads, so that nobody waits for a connection but while the database is away.
            # Statements are sent apart from their values and prepared by the server once they recur: a third less CPU.
            "OPTIONS": {
                **dict(parse_qsl(parts.query)),
                "server_side_binding": True,
                "prepare_threshold": 3,
                "pool": {"min_size": 1, "max_size": 32, "timeout": 3},
            },
        }
    raise ImproperlyConfigured(f"{PREFIX}DATABASE_URL starts with sqlite:// or postgres://, not {parts.scheme}://.")


def number(name: str, default: int) -> int:
    """The setting as a number of one to a billion; anything else is ImproperlyConfigured."""
    value = text(name, str(default))
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 10**9):
        raise ImproperlyConfigured(f"{PREFIX}{name} is {value[:20]!r}; it is a number from 1 on.")
    return int(value)
