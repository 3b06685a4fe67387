"""Django's admin with our gate in place of its login."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class Desk(AppConfig):
    """What administrators do."""

    name = "desk"


class GatedAdmin(AdminConfig):
    """Django's admin on `desk.site.DeskSite`."""

    default_site = "desk.site.DeskSite"
