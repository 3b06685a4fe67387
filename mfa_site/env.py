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

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import EmailValidator
from phonenumbers import SUPPORTED_REGIONS

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
    "EMAIL_CODES": ("`0`", "`1`: a code by mail lets people see their account and add a device, nothing else (`aal1`)"),
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
        "`aal1`: a temporary code lets people see their account and add a device, nothing else; `aal2`: it opens everything",
    ),
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


def email(url: str) -> dict[str, Any]:
    """Django's EMAIL settings for a `console:` or `smtp…:` URL; ImproperlyConfigured for any other."""
    backends = "django.core.mail.backends"
    parts = urlsplit(url)
    if url == "console:":
        return {"EMAIL_BACKEND": f"{backends}.console.EmailBackend"}
    try:
        port, tls = parts.port, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        port, tls = None, {"": ""}
    usual = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
    if parts.scheme not in usual or not parts.hostname or parts.path not in ("", "/") or tls not in ({}, {"tls": "1"}):
        # Without its value, which holds a password.
        raise ImproperlyConfigured(f"{PREFIX}EMAIL_URL is console: or smtp://user:password@host:port (smtp+tls://, smtps://).")
    starttls = parts.scheme == "smtp+tls" or (parts.scheme == "smtp" and bool(tls))
    return {
        "EMAIL_BACKEND": f"{backends}.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or (usual["smtp+tls"] if starttls else usual[parts.scheme]),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": starttls,
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": 10,  # seconds for each word from the other side; a notice is claimed for longer than they make in all
    }


def email_from(host: str) -> str:
    """The address from which mail is sent; ImproperlyConfigured where the setting is none."""
    value = text("EMAIL_FROM")
    try:
        EmailValidator(allowlist=["localhost"])(value or "noreply@localhost")
    except ValidationError:
        raise ImproperlyConfigured(f"{PREFIX}EMAIL_FROM is {value!r}; it is one mail address, without a name.") from None
    return value or f"noreply@{host}"


def yubico() -> tuple[str, str, bytes]:
    """Addresses, client number and key for the validation servers of Yubico OTPs, all or none; else ImproperlyConfigured."""
    url, number, key = text("YUBICO_URL"), text("YUBICO_ID"), text("YUBICO_KEY")
    if not (url or number or key):
        return "", "", b""
    try:
        decoded = base64.b64decode(key, validate=True)
    except ValueError:
        decoded = b""
    if not (url and number.isascii() and number.isdigit() and len(decoded) >= 8):
        raise ImproperlyConfigured(
            f"{PREFIX}YUBICO_URL, _ID (a number) and _KEY (base64) belong together; one is missing or wrong."
        )
    for one in url.split(","):
        parts = urlsplit(one.strip())
        if (parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)) or not parts.hostname:
            raise ImproperlyConfigured(f"{PREFIX}YUBICO_URL holds an address that is not https.")
    return url, number, decoded


def number(name: str, default: int) -> int:
    """The setting as a number of one to a billion; anything else is ImproperlyConfigured."""
    value = text(name, str(default))
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 10**9):
        raise ImproperlyConfigured(f"{PREFIX}{name} is {value[:20]!r}; it is a number from 1 on.")
    return int(value)


def sms_countries() -> frozenset[str]:
    """The countries to which text messages go, none for all; ImproperlyConfigured for what is no country."""
    named = frozenset(code.upper() for code in listed("SMS_COUNTRIES"))
    if unknown := named - SUPPORTED_REGIONS:
        raise ImproperlyConfigured(f"{PREFIX}SMS_COUNTRIES: {min(unknown)[:20]!r} is no country of ISO 3166, as DE or GB are.")
    return named


def sms(default: str) -> str:
    """The URL of an SMS gateway, or nothing; ImproperlyConfigured, without its secret, for what is none."""
    url = text("SMS_URL", default)
    if url in ("", "console:"):
        return url
    usage = f"{PREFIX}SMS_URL is console:, https://token@host/path (http:// to localhost) or twilio://SID:TOKEN@host/?from=+1…"
    try:
        parts, query = urlsplit(url), dict(parse_qsl(urlsplit(url).query, strict_parsing=True) if "?" in url else ())
        known = parts.scheme in ("https", "twilio") or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)
        whole = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise ImproperlyConfigured(usage) from None
    if parts.scheme == "twilio":
        whole = whole and bool(parts.username and parts.password) and len(query.keys() & {"from", "messaging_service"}) == 1
    if not (known and whole):
        raise ImproperlyConfigured(usage)
    return url
