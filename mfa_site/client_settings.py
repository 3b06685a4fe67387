"""Settings of commands that are clients of a service elsewhere: no database, no keyring, no secret and no environment."""

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "desk.apps.FromElsewhere"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
