"""`make bench`: what each step of the service costs, beside a view that does nothing, a hand-made floor and django-otp.

`make bench PEERS=1` adds allauth's sign-in and django-oauth-toolkit's introspection (`bench/peers/`).
Each round sends every case once, on people of its own, so that a replay guard never answers for us and a busy machine hits
all cases alike. The figures are CPU and statements for each request, and times with four requests in flight.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyotp

from bench import grow, service, verify
from bench.load import Answer, Request, Sender
from bench.peers import cases as peers
from tests.cluster import free_port
from tests.soft_key import SoftKey

RESULTS = Path(__file__).parent / "results"
API = "/api/v1"


@dataclass
class Figures:
    """What one case cost, over all rounds."""

    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    app_ms: list[float] = field(default_factory=list)
    database_ms: list[float] = field(default_factory=list)
    statements: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, float | None]:
        """Times in milliseconds."""
        ordered = sorted(self.seconds)
        at = {name: ordered[int(len(ordered) * part)] * 1e3 for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return {
            **at,
            "per_second": statistics.median(self.rates),
            "app_ms": statistics.median(self.app_ms),
            "database_ms": statistics.median(self.database_ms),
            "statements": statistics.median(self.statements) if self.statements else None,
        }


class People:
    """The seeded people, handed out once each."""

    def __init__(self, seeded: list[dict[str, Any]], origin: str) -> None:
        self.rows = [row for row in seeded if row["username"].startswith("user")]
        self.origin, self.taken = origin, 0

    def take(self, count: int) -> list[dict[str, Any]]:
        """So many that nobody has used yet."""
        found = self.rows[self.taken : self.taken + count]
        assert len(found) == count, "not enough people"
        self.taken += count
        return found


def device(person: dict[str, Any], kind: str) -> dict[str, Any]:
    """The person's device of this kind."""
    return next(row for row in person["devices"] if row["kind"] == kind)


def code(person: dict[str, Any]) -> str:
    """What the app shows now."""
    return str(pyotp.parse_uri(device(person, "totp")["otpauth_uri"]).at(int(time.time())))  # type: ignore[union-attr]


def wrong(person: dict[str, Any]) -> str:
    """A code that is right at no time near now."""
    totp = pyotp.parse_uri(device(person, "totp")["otpauth_uri"])
    near = {totp.at(int(time.time()) + 30 * step) for step in range(-3, 4)}  # type: ignore[union-attr]
    return next(f"{number:06d}" for number in range(10) if f"{number:06d}" not in near)


class Bench:
    """The cases against one running service."""

    def __init__(self, ours: Sender, bare: Sender, people: People, size: int) -> None:
        self.ours, self.bare, self.people, self.size = ours, bare, people, size
        self.addresses = 0
        self.compared = 1

    def from_somewhere(self) -> dict[str, str]:
        """Headers of a client at an address of its own, so that no limit on addresses answers for us."""
        self.addresses += 1
        number = self.addresses
        return {"X_Forwarded_For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}

    def password(self, person: dict[str, Any], given: str = "", expected: int = 201) -> Request:
        body = {"username": person["username"], "password": given or person["password"]}
        return self.ours.request("POST", f"{API}/sign-ins", body, expected, **self.from_somewhere())

    def started(self, people: list[dict[str, Any]]) -> list[str]:
        """Handles of sign-ins with the right password."""
        return [answer.json()["sign_in"] for answer in self.ours.send([self.password(person) for person in people])]

    def answer(self, handle: str, person: dict[str, Any], given: Any, kind: str = "totp", expected: int = 200) -> Request:
        body = {"sign_in": handle, "device": device(person, kind)["uuid"], "answer": given}
        return self.ours.request("POST", f"{API}/sign-ins/answer", body, expected)

    def pairs(self) -> list[dict[str, Any]]:
        """Token pairs of people who have just signed in."""
        people = self.people.take(self.size)
        handles = self.started(people)
        return [a.json() for a in self.ours.send([self.answer(h, p, code(p)) for h, p in zip(handles, people, strict=True)])]

    # ---- the cases: each prepares, untimed, and gives what is timed ------------------------------------------------

    def trivial(self) -> list[Request]:
        return [self.bare.request("GET", "/trivial")] * (self.size * 4)

    def _bare_codes(self, path: str) -> list[Request]:
        seed = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
        shown = pyotp.TOTP(seed).at(int(time.time()))
        numbers = range(self.compared, self.compared + self.size)
        return [self.bare.request("POST", path, {"device": number, "answer": shown}) for number in numbers]

    def floor(self) -> list[Request]:
        return self._bare_codes("/floor")

    def django_otp(self) -> list[Request]:
        requests = self._bare_codes("/django-otp")
        self.compared += self.size
        return requests

    def sign_in_password(self) -> list[Request]:
        return [self.password(person) for person in self.people.take(self.size)]

    def answer_app(self) -> list[Request]:
        people = self.people.take(self.size)
        return [self.answer(h, p, code(p)) for h, p in zip(self.started(people), people, strict=True)]

    def answer_key(self) -> list[Request]:
        people = self.people.take(self.size)
        handles = self.started(people)
        asked = [{"sign_in": h, "device": device(p, "fido2")["uuid"]} for h, p in zip(handles, people, strict=True)]
        options = self.ours.send([self.ours.request("POST", f"{API}/sign-ins/challenge", body) for body in asked])
        requests = []
        for handle, person, option in zip(handles, people, options, strict=True):
            key = SoftKey.from_seed(device(person, "fido2")["software_key"])
            key.origin = self.people.origin
            requests.append(self.answer(handle, person, key.get(option.json()["public_key"]), "fido2"))
        return requests

    def challenge_key(self) -> list[Request]:
        people = self.people.take(self.size)
        asked = [
            {"sign_in": h, "device": device(p, "fido2")["uuid"]} for h, p in zip(self.started(people), people, strict=True)
        ]
        return [self.ours.request("POST", f"{API}/sign-ins/challenge", body) for body in asked]

    def wrong_answer(self) -> list[Request]:
        people = self.people.take(self.size)
        return [self.answer(h, p, wrong(p), expected=401) for h, p in zip(self.started(people), people, strict=True)]

    def paused_device(self) -> list[Request]:
        people = self.people.take(max(self.size // 8, 1))
        handles = self.started(people)
        for _ in range(5):
            self.ours.send([self.answer(h, p, wrong(p), expected=401) for h, p in zip(handles, people, strict=True)])
        again = zip(self.started(people), people, strict=True)
        return [self.answer(h, p, code(p), expected=429) for h, p in again for _ in range(8)]

    def wrong_password(self) -> list[Request]:
        return [self.password(person, "not-the-password", 401) for person in self.people.take(self.size)]

    def unknown_person(self) -> list[Request]:
        start = self.addresses
        unknown = [{"username": f"nobody{start + n:06d}"} for n in range(self.size)]
        return [self.password(person, "not-the-password", 401) for person in unknown]

    def refresh(self) -> list[Request]:
        forms = [f"grant_type=refresh_token&refresh_token={pair['refresh_token']}" for pair in self.pairs()]
        return [self.ours.request("POST", "/oauth2/token", form) for form in forms]

    def bearer(self) -> list[Request]:
        tokens = [pair["access_token"] for pair in self.pairs()]
        return [self.ours.request("GET", f"{API}/bench/bearer", Authorization=f"Bearer {token}") for token in tokens * 4]

    def bearer_unsafe(self) -> list[Request]:
        tokens = [pair["access_token"] for pair in self.pairs()]
        return [self.ours.request("POST", f"{API}/bench/bearer", {}, Authorization=f"Bearer {token}") for token in tokens * 4]

    def page(self) -> list[Request]:
        return [self.ours.request("GET", "/sign-in/")] * self.size


CASES: dict[str, tuple[str, int]] = {  # name -> (what it is, people that it takes, in units of the size)
    "trivial": ("a view that does nothing, stock Django", 0),
    "floor": ("hand-made TOTP step, raw SQL", 0),
    "django_otp": ("django-otp's verification", 0),
    "sign_in_password": ("sign-in: password, cheap hash", 1),
    "answer_app": ("answer: code of an app -> tokens", 1),
    "challenge_key": ("challenge for a key", 1),
    "answer_key": ("answer: assertion of a key -> tokens", 1),
    "wrong_answer": ("wrong code", 1),
    "paused_device": ("right code on a paused device", 1),
    "wrong_password": ("wrong password, cheap hash", 1),
    "unknown_person": ("unknown name (real dummy hash)", 0),
    "refresh": ("refresh", 1),
    "bearer": ("bearer check", 1),
    "bearer_unsafe": ("bearer check of an unsafe call", 1),
    "page": ("the sign-in page", 0),
}


@dataclass
class Setting:
    """Everything that runs during the bench."""

    database: service.Store
    ours: service.Server
    bare: service.Server
    statements: service.Statements
    theirs: peers.Peers | None = None


def measure(setting: Setting, sender: Sender, server: service.Server, requests: list[Request], into: Figures) -> list[Answer]:
    """The requests are sent and what they cost is in the figures."""
    time.sleep(0.05)
    setting.statements.reset()
    app, database, began = server.cpu(), service.database_cpu(setting.database), time.perf_counter()
    answers = sender.send(requests)
    took, count = time.perf_counter() - began, len(requests)
    into.rates.append(count / took)
    into.seconds += [answer.seconds for answer in answers]
    into.app_ms.append((server.cpu() - app) / count * 1e3)
    into.database_ms.append((service.database_cpu(setting.database) - database) / count * 1e3)
    ran = setting.statements.count()
    if ran is not None:
        into.statements.append(ran / count)
    return answers


def case(setting: Setting, bench: Bench, name: str) -> tuple[Callable[[], list[Request]], service.Server, Sender]:
    """What prepares the case, and where its requests go."""
    if setting.theirs and name in peers.CASES:
        server, sender = (setting.ours, bench.ours) if name in peers.OURS else setting.theirs.where(name)
        return getattr(setting.theirs, name), server, sender
    bare = name in ("trivial", "floor", "django_otp")
    return getattr(bench, name), *((setting.bare, bench.bare) if bare else (setting.ours, bench.ours))


def rounds(setting: Setting, bench: Bench, count: int) -> dict[str, Figures]:
    """Every case once a round."""
    figures = {name: Figures() for name in [*CASES, *(peers.CASES if setting.theirs else ())]}
    for number in range(count):
        for name, into in figures.items():
            prepare, server, sender = case(setting, bench, name)
            answers = measure(setting, sender, server, prepare(), into)
            assert all(peers.SAYS.get(name, b"") in answer.body for answer in answers), f"{name}: {answers[0].body[:300]!r}"
        print(f"round {number + 1} of {count}", file=sys.stderr)
    return figures


def real_hash(setting: Setting, bench: Bench, people: list[dict[str, Any]]) -> float:
    """Milliseconds of CPU of a password step with the real hash, by the demo people, who have it."""
    alice = next(person for person in people if person["username"] == "alice")
    found = Figures()
    measure(setting, bench.ours, setting.ours, [bench.password(alice) for _ in range(40)], found)
    return found.app_ms[0]


def sizes(bench: Bench) -> dict[str, int]:
    """Bytes of what clients carry."""
    person = bench.people.rows[0]
    pair = bench.ours.send([bench.answer(bench.started([person])[0], person, code(person))])[0].json()
    return {"authorization_header": len(f"Bearer {pair['access_token']}"), "refresh_token": len(pair["refresh_token"])}


def growth(setting: Setting, bench: Bench, devices: int) -> dict[str, float]:
    """p50 of an answer in milliseconds, one request at a time: with few devices, with ten each, with very many."""

    def p50() -> float:
        requests = bench.answer_app()
        return statistics.median(answer.seconds for answer in bench.ours.send(requests, connections=1)) * 1e3

    found = {"few": p50()}
    grow.ten_each(setting.database.url, [person["uuid"] for person in bench.people.rows[bench.people.taken :][: bench.size]])
    found["ten_each"] = p50()
    grow.to(setting.database.url, devices)
    p50()  # the first after such a change finds cold caches
    found["many"] = p50()
    return found


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures, as JSON."""
    with tempfile.TemporaryDirectory() as folder, service.store(Path(folder)) as database, ExitStack() as beside:
        port, bare_port = free_port(), free_port()
        env = service.environment(database, port)
        needed = arguments.size * (arguments.rounds * sum(people for _, people in CASES.values()) + 4)
        if arguments.peers:
            needed += arguments.rounds * peers.dear_people(arguments.size)
        began = time.perf_counter()
        people = service.seeded(env, needed)
        print(f"{len(people)} people seeded in {time.perf_counter() - began:.0f} s on {database.name}", file=sys.stderr)
        bare_env = env | {"DJANGO_SETTINGS_MODULE": "bench.bare_settings"}
        service.prepare_bare(bare_env, arguments.rounds * arguments.size)
        servers = beside.enter_context(peers.running(database, arguments.rounds, arguments.size)) if arguments.peers else {}
        ours = service.Server(env, port, "bench.wsgi:application", "/livez")
        bare = service.Server(bare_env, bare_port, "bench.bare_wsgi:application", "/trivial")
        senders = Sender(port, f"localhost:{port}"), Sender(bare_port, "localhost")
        bench = Bench(*senders, People(people, f"http://localhost:{port}"), arguments.size)
        setting = Setting(database, ours, bare, service.Statements(database))
        if servers:
            alice = next(person for person in people if person["username"] == "alice")
            setting.theirs = peers.Peers(bench, database, alice, servers)
        try:
            cases = {name: found.as_json() for name, found in rounds(setting, bench, arguments.rounds).items()}
            return {
                "database": database.name,
                "cases": cases,
                "cold_start_s": ours.cold_start,
                "bare_cold_start_s": bare.cold_start,
                "memory_mib": ours.memory(),
                "bare_memory_mib": bare.memory(),
                "real_hash_ms": real_hash(setting, bench, people),
                "sizes": sizes(bench),
                "growth_p50_ms": growth(setting, bench, arguments.devices),
                "verify_us": verify.medians(),
            }
        finally:
            ours.stop()
            bare.stop()


def goals(found: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """(what, figure, goal, whether more is better) for each goal of the table that this bench can judge alone."""
    cases = found["cases"]

    def rate(name: str, against: str) -> float:
        return float(cases[name]["per_second"] / cases[against]["per_second"])

    def cpu(name: str) -> float:
        return float(cases[name]["app_ms"] + cases[name]["database_ms"])

    ours, grown = cases["answer_app"], found["growth_p50_ms"]
    rows = [
        ("answer by app, of trivial", rate("answer_app", "trivial"), 0.20, True),
        ("answer by app, of django-otp's verification", rate("answer_app", "django_otp"), 1.2, True),
        ("sign-in, CPU without the hash (ms)", cpu("sign_in_password") + cpu("answer_app"), 6, False),
        ("answer by key, CPU of answer by app", cpu("answer_key") / cpu("answer_app"), 1.2, False),
        ("assertion, parsed and verified (µs)", found["verify_us"]["assertion ES256"], 180, False),
        ("bearer check, of trivial", rate("bearer", "trivial"), 0.60, True),
        ("bearer check with revocation, of trivial", rate("bearer_unsafe", "trivial"), 0.45, True),
        ("wrong answer, CPU of a right one", cpu("wrong_answer") / cpu("answer_app"), 1.1, False),
        ("paused device, CPU of a right one", cpu("paused_device") / cpu("answer_app"), 0.6, False),
        ("many devices, p50 of few", grown["many"] / grown["few"], 1.1, False),
        ("ten devices a person, p50 of one", grown["ten_each"] / grown["few"], 1.3, False),
        ("cold start (s)", found["cold_start_s"], 0.85, False),
        ("worker memory after traffic (MiB)", found["memory_mib"], 93, False),
        ("access-token header (bytes)", found["sizes"]["authorization_header"], 700, False),
    ]
    if ours["statements"] is not None:
        rows.append(("sign-in, statements", cases["sign_in_password"]["statements"] + ours["statements"], 22, False))
        rows.append(("bearer check, statements", cases["bearer"]["statements"], 0, False))
    if "introspection" in cases:
        rows += peers.goals(cpu)
    return rows


def show(found: dict[str, Any]) -> int:
    """Prints the tables; 1 where a goal is missed."""
    cases = found["cases"]
    trivial, called = cases["trivial"]["per_second"], {name: what for name, (what, _) in CASES.items()} | peers.CASES
    print(f"{'':<44}{'per s':>8}{'of triv.':>9}{'p50 ms':>8}{'p95':>8}{'p99':>8}{'app CPU':>9}{'db CPU':>8}{'stmts':>7}")
    for name, row in cases.items():
        times = "".join(f"{row[part]:>8.1f}" for part in ("p50", "p95", "p99"))
        cost = f"{row['app_ms']:>9.2f}{row['database_ms']:>8.2f}" + (
            "" if row["statements"] is None else f"{row['statements']:>7.1f}"
        )
        print(f"{called[name]:<44}{row['per_second']:>8.0f}{row['per_second'] / trivial:>9.2f}{times}{cost}")
    print(f"password step with the real hash: {found['real_hash_ms']:.0f} ms of CPU")
    print(
        f"memory and cold start of the trivial view: {found['bare_memory_mib']:.0f} MiB, {found['bare_cold_start_s']:.2f} s\n"
    )
    if "introspection" in cases:
        print("introspection: the service has none yet, so only django-oauth-toolkit's figure stands here\n")
    missed = 0
    for what, figure, goal, more in goals(found):
        met = figure >= goal if more else figure <= goal
        missed += not met
        print(f"{'met   ' if met else 'MISSED'} {what:<48}{figure:>9.2f}  goal {'≥' if more else '≤'} {goal:g}")
    return 1 if missed else 0


def main() -> int:
    """The bench, its tables, and the JSON beside them."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=200, help="requests for each case and round")
    parser.add_argument("--devices", type=int, default=1_000_000, help="how many the growth goes up to")
    parser.add_argument("--peers", action="store_true", help="beside allauth and django-oauth-toolkit, from bench/.venv-peers")
    arguments = parser.parse_args()
    found = run(arguments)
    RESULTS.mkdir(exist_ok=True)
    about = {"python": sys.version.split()[0], "cores": os.cpu_count(), "rounds": arguments.rounds, "size": arguments.size}
    (RESULTS / ("peers.json" if arguments.peers else "service.json")).write_text(
        json.dumps(about | found, indent=1) + "\n", encoding="utf-8"
    )
    return show(found)


if __name__ == "__main__":
    sys.exit(main())
