"""The WSGI application: `granian --interface wsgi mfa_site.wsgi:application`. What stops the start is told in one line."""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mfa_site.settings")
try:
    django.setup(set_prefix=False)

    from django.db import connection

    from mfa_site.handler import Application
    from mfa_site.start import refuse_another_keyring

    refuse_another_keyring()
    connection.close()  # requests have threads of their own
except ImproperlyConfigured as error:
    sys.exit(f"{error}")
application = Application()
