"""The service's own settings, with two more addresses to compare with."""

from mfa_site.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
