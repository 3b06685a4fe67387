"""A disabled person, a lost device, a changed password, an ended session: refused at the next request, in every process."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from accounts import own_devices, passwords, policy
from accounts.models import BrowserSession, User
from devices.models import Device
from grants.models import RefreshFamily, RefreshToken
from mfa_site.client import Client
from tests.conftest import Api, Person, make_person
from tests.running import Service, as_setting, database_of_this_test
from tests.test_grants import refresh

pytestmark = pytest.mark.django_db(transaction=True)

CALLER = Client("127.0.0.1", "test", "request-1")


class Grants:
    """What one sign-in by browser and one by program were handed, used at any of several processes."""

    def __init__(self, person: Person) -> None:
        api = Api()
        api.take_csrf()
        api.sign_in(person, grant="session")
        self.cookie, self.csrf = api.client.cookies["session"].value, api.client.cookies["csrftoken"].value
        self.pair = Api().sign_in(person)
        self.session = BrowserSession.objects.get(person=person.user, ended_at=None).uuid
        self.family = RefreshFamily.objects.get(person=person.user.uuid).uuid

    def call(self, at: Service, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str]:
        wire = HTTPConnection("127.0.0.1", at.port, timeout=30)
        try:
            wire.request(method, path, body, {"Host": f"localhost:{BASE_PORT}", **headers})
            answer = wire.getresponse()
            return answer.status, answer.read().decode()
        finally:
            wire.close()

    def page(self, at: Service) -> int:
        return self.call(at, "GET", "/account/", Cookie=f"session={self.cookie}")[0]

    def unsafe(self, at: Service) -> int:
        """404 where the caller is known, for there is no such session."""
        bearer = f"Bearer {self.pair['access_token']}"
        return self.call(at, "DELETE", f"/api/v1/sessions/{uuid4()}", Authorization=bearer)[0]

    def refresh(self, at: Service) -> int:
        fields = urlencode({"grant_type": "refresh_token", "refresh_token": self.pair["refresh_token"]})
        kind = "application/x-www-form-urlencoded"
        status, text = self.call(at, "POST", "/oauth2/token", fields, **{"Content-Type": kind})
        if status == 200:
            self.pair = json.loads(text)
        return status

    def seen(self, at: Service) -> tuple[int, int, int]:
        return self.page(at), self.unsafe(at), self.refresh(at)


BASE_PORT = 8000
ALIVE, REFUSED = (200, 404, 200), (302, 401, 400)


@contextmanager
def two_servers(folder: Path, ring: Any) -> Iterator[tuple[Service, Service]]:
    """Two servers under one name and on one database, as behind a load balancer."""
    both = [
        Service(
            folder,
            DATABASE_URL=database_of_this_test(),
            KEYS=as_setting(ring),
            BASE_URL=f"http://localhost:{BASE_PORT}",
            SECRET_KEY="one-secret-key-that-both-of-these-servers-share-for-a-test",
        )
        for _ in range(2)
    ]
    with both[0].running(workers=1), both[1].running(workers=1):
        yield both[0], both[1]


def disable(person: Person) -> None:
    User.objects.filter(pk=person.user.pk).update(is_active=False)


def suspend(person: Person) -> None:
    Device.objects.filter(pk=person.key.pk).update(state="suspended")


def lose(person: Person) -> None:
    own_devices.lose(Device.objects.select_related("user").get(pk=person.key.pk), CALLER, timezone.now())


def remove(person: Person) -> None:
    own_devices.remove(Device.objects.select_related("user").get(pk=person.key.pk), CALLER, timezone.now())


def change_password(person: Person) -> None:
    passwords.change(person.user, "another-long-enough-password", uuid4(), lambda: None, CALLER, timezone.now())


def test_what_ends_in_one_process_is_refused_in_the_other(tmp_path: Path, settings: Any) -> None:
    with two_servers(tmp_path, settings.KEYRING) as (one, other):
        for end in (disable, suspend, lose, remove, change_password):
            person = make_person("fido2", "totp")
            app, person.apps = person.apps, []
            held = Grants(person)
            person.apps = app
            assert held.seen(one) == held.seen(other) == ALIVE, end
            end(person)
            assert held.seen(other) == held.seen(one) == REFUSED, end
        person = make_person("fido2")
        mine, theirs = Grants(person), Grants(make_person("fido2"))
        assert mine.seen(other) == ALIVE
        ended = {"Cookie": f"session={mine.cookie}; csrftoken={mine.csrf}", "X-CSRFToken": mine.csrf}
        assert mine.call(one, "DELETE", f"/api/v1/sessions/{mine.family}", **ended)[0] == 204
        assert mine.seen(other) == (200, 401, 400)
        assert mine.call(one, "DELETE", f"/api/v1/sessions/{mine.session}", **ended)[0] == 204
        assert mine.seen(other) == REFUSED and theirs.seen(other) == ALIVE


@pytest.mark.parametrize("reason", ["stolen", "forgotten"])
def test_what_the_desk_takes_out_of_use_is_dead_within_a_second_in_every_process(
    tmp_path: Path, settings: Any, reason: str
) -> None:
    admin = Api().sign_in(make_person("totp", is_staff=True, is_superuser=True))["access_token"]
    with two_servers(tmp_path, settings.KEYRING) as (one, other):
        person = make_person("fido2", "totp")
        app, person.apps = person.apps, []
        held, others = Grants(person), Grants(make_person("fido2"))
        person.apps = app
        assert held.seen(one) == held.seen(other) == others.seen(other) == ALIVE
        headers = {"Authorization": f"Bearer {admin}", "Content-Type": "application/json"}
        path, began = f"/api/v1/admin/devices/{person.key.uuid}/lost", time.monotonic()
        assert held.call(one, "POST", path, json.dumps({"reason": reason}), **headers)[0] == 200
        assert held.seen(other) == held.seen(one) == REFUSED
        assert time.monotonic() - began < 1, "the loss, and six calls that see it"
        assert others.seen(other) == ALIVE
        assert held.call(one, "POST", path.replace("lost", "resume"), "{}", **headers)[0] == 200
        assert held.seen(other) == REFUSED, "found again, it opens nothing that it had opened before"


def test_everything_of_a_person_ends_but_one() -> None:
    person, other = make_person("fido2"), make_person("fido2")
    Grants(other)
    kept = [Grants(person).session, UUID(str(uuid4()))]
    Api().sign_in(person)
    assert policy.end_everything(person.user, "password_changed", timezone.now(), but=kept[0]) == 2
    assert BrowserSession.objects.get(person=person.user, ended_at=None).uuid == kept[0]
    assert policy.end_everything(person.user, "password_changed", timezone.now(), but=kept[1]) == 1
    assert not RefreshFamily.objects.filter(person=person.user.uuid, ended_at=None).exists()
    assert BrowserSession.objects.filter(person=other.user, ended_at=None).exists()


@contextmanager
def just_before(table: str, happens: Callable[[], Any]) -> Iterator[None]:
    """The moment before the first UPDATE of the table."""
    left = [happens]

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if left and sql.startswith(f'UPDATE "{table}"'):
            left.pop()()  # which may come here again
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield
    assert not left, "it never came to that UPDATE"


@pytest.mark.parametrize("end", [disable, suspend])
def test_a_refresh_that_had_read_everything_before_the_end_gets_nothing_and_spends_nothing(
    end: Callable[[Person], None],
) -> None:
    person = make_person("fido2")
    token = Api().sign_in(person)["refresh_token"]
    with just_before("grants_refreshfamily", lambda: end(person)):
        assert refresh(token).json() == {"error": "invalid_grant"}
    assert RefreshToken.objects.get().spent_at is None


def test_a_refresh_that_had_read_everything_before_its_family_ended_gets_nothing() -> None:
    person = make_person("fido2")
    token = Api().sign_in(person)["refresh_token"]
    family = RefreshFamily.objects.filter(person=person.user.uuid)
    with just_before("grants_refreshfamily", lambda: family.update(ended_at=timezone.now())):
        assert refresh(token).json() == {"error": "invalid_grant"}
    assert RefreshToken.objects.get().spent_at is None
