"""The service killed at any point of a ceremony, and its database stopped: refused meanwhile, back alone, nothing accepted
twice, nothing half-enrolled usable."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pyotp
import pytest

from audit.models import Event
from devices.lifecycle import State
from devices.models import Device
from grants.models import RefreshFamily
from tests import cluster
from tests.conftest import Person, make_person
from tests.running import Service, as_setting, database_of_this_test

pytestmark = pytest.mark.django_db(transaction=True)

KILLS = int(os.environ.get("RACE_ROUNDS", "10"))
API = "/api/v1"
A_SIGN_IN = 0.12  # seconds that a sign-in takes, about; the kill comes at any moment of it
Tried = tuple[int, Any]


@pytest.fixture
def service(tmp_path: Path, settings: Any) -> Service:
    """Of the test's own database and keyring; not running yet."""
    return Service(tmp_path, DATABASE_URL=database_of_this_test(), KEYS=as_setting(settings.KEYRING))


def kill(server: subprocess.Popen[bytes]) -> None:
    """The server and its workers are gone at once."""
    workers = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for pid in (server.pid, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)
    server.wait()


Server = subprocess.Popen[bytes]


@pytest.fixture
def server(service: Service) -> Iterator[list[Server]]:
    """The running server, alone in a list; the next one takes its place."""
    servers = [service.start()]
    yield servers
    kill(servers[0])


def killed_while(servers: list[Server], service: Service, call: Callable[[], Tried]) -> Tried:
    """What the call was answered while the server was killed at some moment of it; then another one runs."""
    while service.livez() != 200:
        time.sleep(0.02)
    killer = threading.Timer(random.uniform(0, A_SIGN_IN), kill, servers)
    killer.start()
    answer = tried(call)
    killer.join()
    servers[0] = service.start()
    while service.livez() != 200:
        time.sleep(0.02)
    return answer


def tried(call: Callable[[], Tried]) -> Tried:
    """What was answered; status 0 where the connection broke before an answer."""
    try:
        return call()
    except (OSError, HTTPException):
        return 0, None


def start(service: Service, person: Person) -> dict[str, Any]:
    """What the right password opens."""
    body = {"username": person.user.username, "password": person.password}
    status, answer = service.call("POST", f"{API}/sign-ins", body)
    assert status == 201, answer
    return dict(answer)


def sign_in(service: Service, person: Person, code: str) -> Tried:
    """Both steps; the answer of the second."""
    given = {"sign_in": start(service, person)["sign_in"], "device": str(person.app.uuid), "answer": code}
    return service.call("POST", f"{API}/sign-ins/answer", given)


def test_killed_at_any_point_of_a_sign_in(service: Service, server: list[Server]) -> None:
    """Whatever had been answered: the code is worth one sign-in, and its owner is not locked out."""
    seen = set()
    for _ in range(KILLS):
        person = make_person("totp")
        code = person.code()
        first, _answer = killed_while(server, service, partial(sign_in, service, person, code))
        second, answer = sign_in(service, person, code)
        assert second == 200 or (second, answer["code"]) == (401, "answer_used"), answer
        assert (first, second) != (200, 200), "accepted twice"
        seen.add((first, second))
        family = RefreshFamily.objects.get(person=person.user.uuid)
        event = Event.objects.get(act="signed_in", person=person.user.uuid)
        assert event.sid == family.uuid, "spent, granted and told are one"
        person.app.refresh_from_db()
        assert person.app.failures <= 1 and person.app.paused_until is None
    if KILLS >= 50:
        assert len(seen) >= 2, f"the kill always came at the same moment: {seen}"


def enrol_first(service: Service, person: Person, seeds: list[str]) -> Tried:
    """The first device of a new account, from the password to its first code."""
    handle = start(service, person)["sign_in"]
    status, shown = service.call("POST", f"{API}/sign-ins/enrol", {"sign_in": handle, "kind": "totp"})
    assert status == 201, shown
    seeds.append(shown["secret"])
    given = {"sign_in": handle, "device": shown["device"]["uuid"], "answer": pyotp.TOTP(shown["secret"]).now()}
    return service.call("POST", f"{API}/sign-ins/enrol/confirm", given)


def test_killed_at_any_point_of_an_enrolment(service: Service, server: list[Server]) -> None:
    """Either the device is enrolled, once, or what was begun opens nothing and the person begins anew."""
    for _ in range(max(KILLS // 4, 3)):
        person, seeds = make_person(), list[str]()
        first, _answer = killed_while(server, service, partial(enrol_first, service, person, seeds))
        rows = list(Device.objects.filter(user=person.user, state=State.ACTIVE))
        opened = start(service, person)
        assert (opened["state"] == "waiting") == bool(rows)
        assert [row["uuid"] for row in opened["devices"]] == [str(row.uuid) for row in rows]
        if rows:
            given = {"sign_in": opened["sign_in"], "device": str(rows[0].uuid), "answer": pyotp.TOTP(seeds[0]).now()}
            assert service.call("POST", f"{API}/sign-ins/answer", given)[1].get("code") in (None, "answer_used")
        else:
            assert first != 200
            assert enrol_first(service, person, seeds)[0] == 200
        assert Device.objects.filter(user=person.user, state=State.ACTIVE).count() == 1


needs_postgresql = pytest.mark.skipif(cluster.binaries() is None, reason="PostgreSQL is not installed")


@pytest.fixture
def own_cluster() -> Iterator[cluster.Cluster]:
    programs = cluster.binaries()
    assert programs is not None
    own = cluster.Cluster(programs)
    yield own
    own.remove()


@needs_postgresql
def test_the_database_stopped_and_started(tmp_path: Path, settings: Any, own_cluster: cluster.Cluster) -> None:
    """Refused with 503, soon and everywhere; then everything goes on where it was, and what was used stays used."""
    import json

    service = Service(tmp_path, DATABASE_URL=own_cluster.url, KEYS=as_setting(settings.KEYRING))
    assert service.manage("migrate", "--verbosity", "0").returncode == 0
    people = {row["username"]: row for row in json.loads(service.manage("seed_demo", "--json").stdout)["people"]}
    alice = people["alice"]
    app = next(row for row in alice["devices"] if row["kind"] == "totp")
    code = str(pyotp.parse_uri(app["otpauth_uri"]).at(int(time.time())))  # type: ignore[attr-defined]

    def opened() -> str:
        body = {"username": "alice", "password": alice["password"]}
        status, answer = service.call("POST", f"{API}/sign-ins", body)
        assert status == 201, answer
        return str(answer["sign_in"])

    def answered(handle: str, given: str) -> Tried:
        return service.call("POST", f"{API}/sign-ins/answer", {"sign_in": handle, "device": app["uuid"], "answer": given})

    with service.running():
        waiting, other = opened(), opened()
        status, pair = answered(waiting, code)
        assert status == 200
        own_cluster.stop()
        began = time.monotonic()
        body = {"username": "alice", "password": alice["password"]}
        form = f"grant_type=refresh_token&refresh_token={pair['refresh_token']}"
        bearer = pair["access_token"]
        for method, path, sent in (
            ("POST", f"{API}/sign-ins", body),
            ("POST", f"{API}/sign-ins/answer", {"sign_in": other, "device": app["uuid"], "answer": "000000"}),
            ("POST", "/oauth2/token", form),
            ("POST", f"{API}/devices", {"kind": "totp"}),
            ("GET", "/readyz", None),
        ):
            status, answer = service.call(method, path, sent, bearer if path.endswith("devices") else "")
            assert (status, answer["code"]) == (503, "unavailable"), path
        assert service.call("GET", "/livez")[0] == 200
        assert time.monotonic() - began < 20, "a refusal does not keep people waiting"
        own_cluster.start()
        until = time.monotonic() + 20
        while service.call("GET", "/readyz")[0] != 200:
            assert time.monotonic() < until
            time.sleep(0.2)
        # Each worker notices by one refusal that its connections are dead; more there are not.
        answers = [service.call("GET", "/api/v1/me", bearer=bearer)[0] for _ in range(20)]
        assert answers.count(503) <= 1 and answers[-5:] == [200] * 5
        assert service.call("POST", "/oauth2/token", form)[0] == 200
        assert answered(other, code)[1]["code"] == "answer_used"
