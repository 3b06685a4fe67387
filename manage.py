#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mfa_site.settings")
    if sys.argv[1:2] == ["test"]:
        os.environ.setdefault("MFA_SITE_DEBUG", "1")  # the suite brings its own secrets and people
    if sys.argv[1:2] == ["enrol_key"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = "mfa_site.client_settings"  # it has a service elsewhere, and no secrets here
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")
