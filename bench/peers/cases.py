"""`make bench PEERS=1`: allauth's headless sign-in and django-oauth-toolkit's introspection, in the same rounds as ours.

A sign-in with a real hash is the password step with that hash and the answer, which is the same for every hash.
"""

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyotp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench import grow, service
from bench.load import Request, Sender
from bench.peers import people as theirs
from tests.cluster import free_port

BIN = Path(__file__).resolve().parent.parent / ".venv-peers" / "bin"
LOGIN, ANSWER, ABOUT = "/_allauth/app/v1/auth/login", "/_allauth/app/v1/auth/2fa/authenticate", "/o/introspect/"
CASES = {
    "real_password": "sign-in: password, real hash",
    "allauth_password": "allauth: password, cheap hash",
    "allauth_answer": "allauth: code of an app -> tokens",
    "allauth_real_password": "allauth: password, its default hash",
    "introspection": "django-oauth-toolkit: introspection",
}
OURS = ("real_password",)
SAYS = {  # name -> what every answer has to say beside its status
    "allauth_password": b'"mfa_authenticate"',
    "allauth_answer": b'"access_token"',
    "allauth_real_password": b'"mfa_authenticate"',
    "introspection": b'"active": true',
}


def dear_people(size: int) -> int:
    """How many of our people a round of these cases takes."""
    return max(size // 2, 1)


def dear(size: int) -> int:
    """How many password steps with Django's default hash a round takes; each is most of a second of CPU."""
    return max(size // 8, 4)


class Peers:
    """The cases; each prepares, untimed, and gives what is timed."""

    def __init__(self, bench: Any, database: service.Store, alice: dict[str, Any], servers: dict[str, service.Server]) -> None:
        self.bench, self.database, self.alice, self.servers = bench, database, alice, servers
        self.senders = {hasher: Sender(server.port, "localhost") for hasher, server in servers.items()}
        self.taken = dict.fromkeys([*servers, "token"], 0)

    def where(self, case: str) -> tuple[service.Server, Sender]:
        """What the case's requests go to."""
        hasher = "pbkdf2" if case == "allauth_real_password" else "md5"
        return self.servers[hasher], self.senders[hasher]

    def numbers(self, of: str, count: int) -> range:
        """So many numbers of people or tokens that nobody has used yet."""
        self.taken[of] += count
        return range(self.taken[of] - count + 1, self.taken[of] + 1)

    def login(self, hasher: str, count: int) -> list[Request]:
        """Right passwords; allauth answers 401 with a session token, for the code is still missing."""
        bodies = [{"username": theirs.name(hasher, n), "password": theirs.PASSWORD} for n in self.numbers(hasher, count)]
        sender = self.senders[hasher]
        return [sender.request("POST", LOGIN, body, 401, **self.bench.from_somewhere()) for body in bodies]

    def allauth_password(self) -> list[Request]:
        return self.login("md5", self.bench.size)

    def allauth_real_password(self) -> list[Request]:
        return self.login("pbkdf2", dear(self.bench.size))

    def allauth_answer(self) -> list[Request]:
        sender = self.senders["md5"]
        started = [answer.json()["meta"]["session_token"] for answer in sender.send(self.login("md5", self.bench.size))]
        body = {"code": pyotp.TOTP(theirs.SEED).at(int(time.time()))}
        return [sender.request("POST", ANSWER, body, X_Session_Token=token, **self.bench.from_somewhere()) for token in started]

    def introspection(self) -> list[Request]:
        asking = {"Authorization": f"Bearer {theirs.ASKING}"}
        forms = [f"token={theirs.token(number)}" for number in self.numbers("token", self.bench.size)]
        return [self.senders["md5"].request("POST", ABOUT, form, **asking) for form in forms]

    def real_password(self) -> list[Request]:
        """Our seeded people have a cheap hash: these get that of a demo person, and with it that person's password."""
        taken = self.bench.people.take(dear_people(self.bench.size))
        connection, is_postgres = grow.connect(self.database.url), not self.database.url.startswith("sqlite")
        keys = ", ".join(f"'{p['uuid'] if is_postgres else uuid.UUID(p['uuid']).hex}'" for p in taken)
        real = "SELECT password FROM accounts_user WHERE username = 'alice'"
        connection.execute(f"UPDATE accounts_user SET password = ({real}) WHERE uuid IN ({keys})")
        connection.commit()
        connection.close()
        return [self.bench.password(person, self.alice["password"]) for person in taken]


@contextmanager
def running(database: service.Store, rounds: int, size: int) -> Iterator[dict[str, service.Server]]:
    """Two servers with people of their own in one database: by the hash of their passwords."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    env = {name: value for name, value in os.environ.items() if not name.startswith("MFA_SITE_")} | {
        "BENCH_PEERS_URL": service.another(database, "peers"),
        "BENCH_PEERS_KEY": pem,
        "DJANGO_SETTINGS_MODULE": "bench.peers.settings",
        "PYTHONPATH": str(service.ROOT),
    }
    envs = {kind: env | {"BENCH_PEERS_HASHER": f"{kind.upper()}PasswordHasher"} for kind in ("md5", "pbkdf2")}
    counts = [str(2 * rounds * size), str(rounds * dear(size))]
    subprocess.run([BIN / "python", "-m", "bench.peers.people", *counts], env=envs["pbkdf2"], cwd=service.ROOT, check=True)
    servers: dict[str, service.Server] = {}
    try:
        for kind, own in envs.items():
            application = "bench.bare_wsgi:application"
            servers[kind] = service.Server(own, free_port(), application, "/_allauth/app/v1/config", str(BIN / "granian"))
        yield servers
    finally:
        for server in servers.values():
            server.stop()


def goals(cpu: Callable[[str], float]) -> list[tuple[str, float, float, bool]]:
    """As the bench's own: CPU of a whole sign-in, theirs against ours."""
    answer, their_answer = cpu("answer_app"), cpu("allauth_answer")
    cheap = (cpu("allauth_password") + their_answer) / (cpu("sign_in_password") + answer)
    real = (cpu("allauth_real_password") + their_answer) / (cpu("real_password") + answer)
    return [
        ("CPU of allauth's sign-in, of ours, cheap hash", cheap, 5, True),
        ("CPU of allauth's sign-in, of ours, default hashes", real, 12, True),
    ]
