"""Before the second factor passed, every page and every API route answers as to a stranger."""

import re
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tests.conftest import Api, Person
from tests.test_pages import Browser

pytestmark = pytest.mark.django_db

ZERO = "00000000-0000-0000-0000-000000000000"
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


def routes(patterns: list[Any], prefix: str = "") -> list[str]:
    """Every route of the service as Django writes it."""
    found = []
    for pattern in patterns:
        here = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += routes(pattern.url_patterns, here)
        elif isinstance(pattern, URLPattern):
            found.append(here)
    return found


def paths(uuid: str, device: str) -> list[str]:
    """Every path, with these ids where a route takes some."""
    made = []
    for route in routes(get_resolver().url_patterns):
        path = route.replace("<uuid:device>", device).replace("<str:kind>", "totp")
        # In sign-in routes the uuid is a sign-in's, elsewhere a device's.
        path = re.sub("<uuid:uuid>", uuid if path.startswith("sign-in/") else device, path)
        made.append("/" + path)
    return made


def seen(response: Any) -> tuple[int, str, str]:
    """What tells one caller from another: status, where it leads, and the body without what changes every time."""
    body = re.sub(
        r'csrfmiddlewaretoken" value="[^"]+"|[0-9a-f]{32}|"request_id": "[^"]+"|in \d+ second\w*|class="code">\d+',
        "",
        response.content.decode(),
    )
    return response.status_code, response.get("Location", ""), body


def test_every_route_answers_a_half_finished_sign_in_as_it_answers_a_stranger(alice: Person) -> None:
    half = Browser().password(alice)
    uuid = half.at.split("/")[2]
    stranger = Browser()
    stranger.go("/sign-in/")
    stranger.client.cookies["csrftoken"] = half.client.cookies["csrftoken"].value
    token = {"X-CSRFToken": half.client.cookies["csrftoken"].value}
    own = {f"/sign-in/{uuid}/"}
    checked = 0
    for path in paths(uuid, str(alice.app.uuid)):
        if path.startswith(tuple(own)):
            continue
        for method in METHODS:
            body = "{}" if path.startswith("/api/") else ""
            answers = [
                who.client.generic(method, path, body, content_type="application/json", headers=token)
                for who in (half, stranger)
            ]
            assert seen(answers[0]) == seen(answers[1]), (method, path)
            checked += 1
    assert checked > 60


def test_the_same_over_the_api_where_the_handle_is_no_bearer(api: Api, alice: Person) -> None:
    handle = api.start(alice)
    for path in paths(ZERO, str(alice.app.uuid)):
        for method in METHODS:
            answers = [
                Api().client.generic(
                    method, path, "{}", content_type="application/json", headers={"Authorization": f"Bearer {token}"}
                )
                for token in (handle, "x" * 43)
            ]
            assert seen(answers[0]) == seen(answers[1]), (method, path)


def test_an_enrolling_sign_in_shows_and_changes_nothing_else(nora: Person, alice: Person) -> None:
    browser = Browser().password(nora)
    uuid = browser.at.split("/")[2]
    assert browser.go("/account/").at.startswith("/sign-in/?next")
    for path in (f"/sign-in/{uuid}/methods/", f"/sign-in/{uuid}/{alice.app.uuid}/"):
        answer = browser.client.get(path)
        assert "Authenticator app" not in answer.content.decode().replace("authenticator app", "")


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/devices"])
def test_a_stranger_is_told_to_sign_in(api: Api, path: str) -> None:
    answer = api.client.get(path)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
