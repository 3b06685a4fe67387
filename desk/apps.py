"""Django's admin with our gate in place of its login."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class Desk(AppConfig):
    """What administrators do."""

    name = "desk"

    def ready(self) -> None:
        from accounts import prune
        from desk import importing  # these need the models
        from desk.roles import make_groups

        post_migrate.connect(make_groups, sender=self)  # after Django's own, which makes the permissions
        prune.MORE.append(importing.over)


class GatedAdmin(AdminConfig):
    """Django's admin on `desk.site.DeskSite`."""

    default_site = "desk.site.DeskSite"
