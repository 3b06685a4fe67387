"""A Django with the middleware of a new project, on a database of its own, for what we compare with (`bench.bare`)."""

import os
from pathlib import Path

from mfa_site import env

SECRET_KEY = "only-for-the-bench-" * 3
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "bench.bare"
DATABASES = {"default": env.database(os.environ["BENCH_BARE_URL"], Path(__file__).resolve().parent.parent)}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django_otp",
    "django_otp.plugins.otp_totp",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
AUTH_USER_MODEL = "auth.User"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
