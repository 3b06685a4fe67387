"""Django's settings, all from the environment (`mfa_site.env` has the list). Unsafe ones stop the start."""

from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from mfa_site import env, keyring, logs, servers

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var"

env.refuse_unknown()
DEVELOPMENT = env.flag("DEBUG")
DEMO = env.flag("DEMO")
LOCAL = DEVELOPMENT or DEMO
DEBUG = False  # Django's own debug pages show settings and local variables; the traceback is in the log

BASE_URL = env.base_url(LOCAL)
_base = urlsplit(BASE_URL)
HTTPS = _base.scheme == "https"
ALLOWED_HOSTS = [_base.hostname or ""]
CSRF_TRUSTED_ORIGINS = [BASE_URL]

SECRET_KEY = env.generated("SECRET_KEY", VAR, env.new_secret_key, LOCAL)
SECRET_KEY_FALLBACKS = env.listed("SECRET_KEY_FALLBACKS")
KEYRING = keyring.parse(env.generated("KEYS", VAR, env.new_keyring, LOCAL))
if any(len(key) < 32 or "insecure" in key for key in (SECRET_KEY, *SECRET_KEY_FALLBACKS)):
    raise ImproperlyConfigured("MFA_SITE_SECRET_KEY is a sample or too short; use 50 random characters.")
if any(key.decode("latin1") in (SECRET_KEY, *SECRET_KEY_FALLBACKS) for key in KEYRING.values()):
    raise ImproperlyConfigured("MFA_SITE_KEYS and MFA_SITE_SECRET_KEY are the same; each needs a secret of its own.")

# WebAuthn: the RP ID is the host or a parent of it, and every origin lies under it.
RP_ID = env.text("RP_ID", _base.hostname or "")
RP_NAME = env.text("RP_NAME", "MFA Site")
RP_ORIGINS = frozenset(env.listed("RP_ORIGINS") or [BASE_URL])
for _origin in (BASE_URL, *RP_ORIGINS):
    _host = urlsplit(_origin).hostname or ""
    if _host != RP_ID and not (_host.endswith("." + RP_ID) and "." in RP_ID):
        raise ImproperlyConfigured(f"MFA_SITE_RP_ID {RP_ID!r} does not match the origin {_origin!r}.")
    if not _origin.startswith("https://") and _host != "localhost":
        raise ImproperlyConfigured(f"MFA_SITE_RP_ORIGINS: {_origin!r} is not https.")
# A typing error here would switch verification off without a word, so only the two known words start.
USER_VERIFICATION = env.text("USER_VERIFICATION", "discouraged")
if USER_VERIFICATION not in ("discouraged", "required"):
    raise ImproperlyConfigured(f"MFA_SITE_USER_VERIFICATION is {USER_VERIFICATION!r}; it can be discouraged or required.")
TEMPORARY_ACR = env.text("TEMPORARY_ACR", "aal1")
if TEMPORARY_ACR not in ("aal1", "aal2"):
    raise ImproperlyConfigured(f"MFA_SITE_TEMPORARY_ACR is {TEMPORARY_ACR!r}; it can be aal1 or aal2.")
ATTESTATION_ANCHORS, FIDO_METADATA_ROOT = servers.pem("ATTESTATION_ANCHORS"), servers.pem("FIDO_METADATA_ROOT")
FIDO_METADATA = env.text("FIDO_METADATA")
FIDO_METADATA_URL = env.text("FIDO_METADATA_URL", "https://mds3.fidoalliance.org/")
YUBICO_URL, YUBICO_ID, YUBICO_KEY = servers.yubico()

if env.text("TRUSTED_PROXIES", "0") not in map(str, range(10)):
    raise ImproperlyConfigured("MFA_SITE_TRUSTED_PROXIES is a number of hops, 0 for none, 9 at most.")
TRUSTED_PROXIES = int(env.text("TRUSTED_PROXIES", "0"))
if HTTPS and TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "accounts",
    "devices",
    "grants",
    "audit",
    "mfa_site",
    "desk.apps.GatedAdmin",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_tasks",
    "django_tasks_db",
    "desk.apps.Desk",  # after those whose registrations it takes back
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "mfa_site.middleware.Frame",
    "accounts.middleware.who",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
# They look for Django's own classes: `mfa_site.middleware` sets the same headers on every response, `accounts.middleware` the
# session and the user, and tests hold both.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "admin.E408", "admin.E410"]
ROOT_URLCONF = "mfa_site.urls"
WSGI_APPLICATION = "mfa_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEST_RUNNER = "tests.runner.PytestRunner"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.views.frame.context",
            ]
        },
    }
]

DATABASES = {"default": env.database(env.text("DATABASE_URL", "sqlite:///var/db.sqlite3"), ROOT)}
CACHE_URL = env.text("CACHE_URL")
if CACHE_URL and urlsplit(CACHE_URL).scheme not in ("redis", "rediss"):
    raise ImproperlyConfigured("MFA_SITE_CACHE_URL starts with redis:// or rediss://.")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}

_email_url = env.text("EMAIL_URL", "console:" if DEVELOPMENT else "")
HAS_MAIL = bool(_email_url)
if HAS_MAIL:
    globals().update(servers.email(_email_url))

SMS_URL = servers.sms("console:" if DEVELOPMENT else "")
SMS_PER_DAY, SMS_PER_COUNTRY = env.number("SMS_PER_DAY", 1000), env.number("SMS_PER_COUNTRY", 500)
SMS_COUNTRIES = servers.sms_countries()
_kinds_on = {"sms": bool(SMS_URL), "email": env.flag("EMAIL_CODES") and HAS_MAIL}
KINDS_OFF = frozenset(kind for kind, is_on in _kinds_on.items() if not is_on)
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]}}
DEFAULT_FROM_EMAIL = servers.email_from(_base.hostname or "")

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.credentials.OwnPasswords"]
PASSWORD_HASHERS = ["accounts.hashers.Argon2id"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "accounts.passwords.LongEnough"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "name", "email")},
    },
]

# Names without the prefix only on plain-http localhost, where browsers refuse `Secure` with it.
_prefix = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{_prefix}session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_NAME = f"{_prefix}csrftoken"
KNOWN_COOKIE_NAME = f"{_prefix}known"
CSRF_FAILURE_VIEW = "mfa_site.faults.csrf_failed"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
MAX_BODY = 64 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = ROOT / "staticfiles"
STATICFILES_DIRS = [ROOT / "static"]
WHITENOISE_USE_FINDERS = LOCAL
WHITENOISE_AUTOREFRESH = DEVELOPMENT
if not LOCAL:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }

LOGGING = logs.config(env.text("LOG_FORMAT", "text" if DEVELOPMENT else "json"))
