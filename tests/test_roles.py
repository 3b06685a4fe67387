"""Walked by every role, every route of the desk does what its permission says and nothing else."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from desk.pages import PAGES, Page
from desk.roles import PERMISSIONS, ROLES
from desk.urls import urlpatterns
from tests.conftest import Api, Person, make_person

pytestmark = pytest.mark.django_db
ID = "5a1b3c5d-0000-4000-8000-000000000000"

# method and path below /api/v1/admin/ -> the permission; every route of `desk.urls` has to be here.
API = {
    ("GET", "users"): "view_people",
    ("GET", "users/<uuid:uuid>/devices"): "view_people",
    ("POST", "users/<uuid:uuid>/temporary-codes"): "issue_temporary_code",
    ("GET", "devices"): "view_people",
    ("GET", "audit-events"): "view_audit",
    ("POST", "devices/<uuid:uuid>/assign"): "hand_out_token",
    ("POST", "devices/<uuid:uuid>/unassign"): "hand_out_token",
    ("POST", "devices/<uuid:uuid>/resync"): "mend_device",
}


def member(*roles: str, **columns: Any) -> Person:
    """A member of staff with an app and these roles."""
    found = make_person("totp", is_staff=True, **columns)
    found.user.groups.set(Group.objects.filter(name__in=roles))
    return found


def signed_in(person: Person) -> Any:
    """A browser in which both factors were proven just now."""
    api = Api()
    api.take_csrf()
    api.sign_in(person, grant="session")
    return api.client


def path_of(page: Page) -> str:
    """Its address, for somebody and something that do not exist."""
    found = page.route.replace("<uuid:uuid>", ID).replace("<uuid:device>", ID).replace("<int:pk>", "0")
    assert "<" not in found, f"say here what stands for the parts of {page.route}"
    return f"{reverse('admin:index')}{found}"


def methods_of(route: Any) -> tuple[str, ...]:
    """What the call takes."""
    return tuple(route.callback.methods)


def test_the_ready_groups_hold_what_they_say() -> None:
    for name, permissions in ROLES.items():
        held = Group.objects.get(name=name).permissions.filter(content_type__app_label="desk")
        assert sorted(held.values_list("codename", flat=True)) == sorted(permissions)
    assert {permission for held in ROLES.values() for permission in held} == set(PERMISSIONS)


def test_every_route_is_in_the_table() -> None:
    routes = {(method, str(route.pattern)) for route in urlpatterns for method in methods_of(route)}
    assert routes == set(API)
    assert all(page.permission in PERMISSIONS for page in PAGES)


@pytest.mark.parametrize("role", [*ROLES, None])
def test_pages_open_for_who_has_their_permission_and_for_nobody_else(role: str | None) -> None:
    browser = signed_in(member(*([role] if role else [])))
    for page in PAGES:
        allowed = role is not None and page.permission in ROLES[role]
        for call in (browser.get, browser.post):
            status = call(path_of(page)).status_code
            assert (status != 403) == allowed or (allowed and call == browser.post), (page.name, status)
            assert status < 500, (page.name, status)


@pytest.mark.parametrize("role", [*ROLES, None])
def test_the_api_does_what_its_permission_says(role: str | None) -> None:
    api = Api(Api().sign_in(member(*([role] if role else [])))["access_token"])
    for (method, route), permission in API.items():
        path = f"admin/{route.replace('<uuid:uuid>', ID).replace('<uuid:device>', ID)}"
        answer = api.call(method, path, {} if method != "GET" else None)
        refused = answer.status_code == 403 and answer.json()["code"] == "not_permitted"
        assert refused != (role is not None and permission in ROLES[role]), (method, route, answer.content)
        assert answer.status_code < 500, (method, route)
