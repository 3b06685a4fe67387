"""The servers to which this service talks, from its settings: mail, SMS gateway, validation of Yubico OTPs,
and whom we trust about security keys."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography.x509 import load_pem_x509_certificates
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import EmailValidator
from phonenumbers import SUPPORTED_REGIONS

from mfa_site.env import LOCAL_HOSTS, PREFIX, listed, text


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


def sms_countries() -> frozenset[str]:
    """The countries to which text messages go, none for all; ImproperlyConfigured for what is no country."""
    named = frozenset(code.upper() for code in listed("SMS_COUNTRIES"))
    if unknown := named - SUPPORTED_REGIONS:
        raise ImproperlyConfigured(f"{PREFIX}SMS_COUNTRIES: {min(unknown)[:20]!r} is no country of ISO 3166, as DE or GB are.")
    return named


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


def pem(name: str) -> str:
    """The path of a file with certificates, or nothing; ImproperlyConfigured for what is none."""
    path = text(name)
    try:
        if path and not load_pem_x509_certificates(Path(path).read_bytes()):
            raise ValueError
    except (OSError, ValueError):
        raise ImproperlyConfigured(f"{PREFIX}{name} is {path!r}; it is a file with certificates in PEM.") from None
    return path
