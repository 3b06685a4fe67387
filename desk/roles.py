"""Who may do what at the desk: one permission an act, and the ready groups that hold them."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.utils.translation import gettext_noop as _

# Each is asked for as "desk.<name>", by pages, API and lists alike.
PERMISSIONS = {
    "view_people": _("See people, their devices, sessions and sign-ins"),
    "create_person": _("Create people and renew the time for a first device"),
    "change_person": _("Correct name and address, disable people"),
    "end_sessions": _("End somebody's sessions"),
    "invite": _("Invite somebody to enrol a device"),
    "enrol_key": _("Enrol a security key for somebody"),
    "hand_out_token": _("Hand tokens out and take them back"),
    "import_tokens": _("Import token files and undo imports"),
    "mend_device": _("Line up, unlock and resume devices"),
    "report_lost": _("Report devices lost, suspend them"),
    "retire_device": _("Retire devices for good"),
    "issue_temporary_code": _("Issue temporary codes"),
    "change_policy": _("Change policy and who is in which group"),
    "give_roles": _("Give and take roles"),
    "approve": _("Approve what another administrator asked for"),
    "touch_administrators": _("Act on people who are administrators"),
    "view_audit": _("Search and export the audit"),
    "view_dashboard": _("See the dashboard"),
}

_HELPDESK = ("view_people", "end_sessions", "invite", "mend_device", "report_lost", "issue_temporary_code", "view_dashboard")
ROLES: dict[str, tuple[str, ...]] = {
    _("Helpdesk"): _HELPDESK,
    _("Token desk"): (*_HELPDESK, "create_person", "enrol_key", "hand_out_token", "import_tokens", "retire_device"),
    _("Auditor"): ("view_people", "view_audit", "view_dashboard"),
    _("Security administrator"): tuple(PERMISSIONS),
}


def make_groups(**_kwargs: Any) -> None:
    """After every `migrate` the ready groups exist and hold what ROLES says, no more and no less."""
    known = {row.codename: row for row in Permission.objects.filter(content_type__app_label="desk")}
    for name, permissions in ROLES.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.set([known[codename] for codename in permissions])
