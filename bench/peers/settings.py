"""A new Django project with allauth's headless sign-in and django-oauth-toolkit, as their own first pages set them up.

Caches, sessions and middleware are Django's defaults: allauth keeps its limits and used codes in the worker's own memory.
"""

import os
from pathlib import Path

from mfa_site import env

SECRET_KEY = "only-for-the-bench-" * 3
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "bench.peers.urls"
DATABASES = {"default": env.database(os.environ["BENCH_PEERS_URL"], Path(__file__).resolve().parents[2])}
PASSWORD_HASHERS = [f"django.contrib.auth.hashers.{os.environ['BENCH_PEERS_HASHER']}"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.headless",
    "oauth2_provider",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
ALLAUTH_TRUSTED_PROXY_COUNT = 1  # each request names an address of its own, so that no limit on addresses answers
HEADLESS_ONLY = True
HEADLESS_CLIENTS = ("app",)
HEADLESS_TOKEN_STRATEGY = "allauth.headless.tokens.strategies.jwt.JWTTokenStrategy"  # noqa: S105
HEADLESS_JWT_PRIVATE_KEY = os.environ["BENCH_PEERS_KEY"]
MFA_TOTP_TOLERANCE = 1  # one step either way, as our service takes
OAUTH2_PROVIDER = {"SCOPES": {"read": "Reading", "introspection": "Introspection"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
