"""People with real devices, and clients that speak to the service the way its users do."""

import base64
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pyotp
import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts import demo, notices
from accounts.models import User
from devices import sending
from devices.models import Device, Kind
from grants import signing
from mfa_site import counters, keyring
from tests.authenticators import Authenticator, Button, Clock, Inbox, Paper, YubiKey, new_device
from tests.gateway import Gateway, running
from tests.post_office import PostOffice, post_office
from tests.soft_key import SoftKey

_numbers = itertools.count(1)


class Person:
    """A person with what they remember and hold: a password, an app, keys, and whatever else there is."""

    def __init__(self, user: User, password: str) -> None:
        self.user, self.password = user, password
        self.apps: list[tuple[Device, pyotp.TOTP]] = []
        self.keys: list[tuple[Device, SoftKey]] = []
        self.codes: list[str] = []
        self.held: dict[str, Any] = {}  # by what was asked for; each an Authenticator

    @property
    def app(self) -> Device:
        return self.apps[0][0]

    @property
    def code_set(self) -> Device:
        row: Device = Device.objects.exclude(state="retired").get(user=self.user, kind=Kind.RECOVERY)
        return row

    @property
    def key(self) -> Device:
        return self.keys[0][0]

    @property
    def soft_key(self) -> SoftKey:
        return self.keys[0][1]

    def code(self, steps: int = 0) -> str:
        """The code that the app shows, `steps` periods from now."""
        device, totp = self.apps[0]
        return str(totp.at(int(timezone.now().timestamp()) + steps * device.period))

    def wrong_code(self) -> str:
        """Six digits that are right at no time near now."""
        near = {self.code(steps) for steps in range(-3, 4)}
        return next(f"{number:06d}" for number in range(len(near) + 1) if f"{number:06d}" not in near)


def make_person(*kinds: str, password: str = "a-long-enough-password", **columns: Any) -> Person:
    """A person in the database with active devices of these kinds; `hardware_totp`, `hardware_hotp` come with a serial."""
    user = User.objects.create_user(columns.pop("username", f"person{next(_numbers)}"), "p@example.org", password, **columns)
    person = Person(user, password)
    for kind in kinds:
        if kind in ("totp", "fido2"):
            row, clear = demo.new_device(user, Kind(kind), timezone.now())
            row.save(force_insert=True)
            if kind == "totp":
                person.apps.append((row, pyotp.TOTP(base64.b32encode(row.seed).decode())))
            else:
                person.keys.append((row, SoftKey.from_seed(clear["software_key"])))
        elif kind == "recovery":
            person.codes = demo.new_codes(user, timezone.now())
        person.held[kind] = hold(person, kind)
    return person


def hold(person: Person, kind: str) -> Any:
    """What the person has of this kind, an Authenticator; its device is in the database."""
    if kind == "totp":
        return Clock(person.apps[-1][0])
    if kind == "fido2":
        return KeyInHand(*person.keys[-1])
    if kind == "recovery":
        return Paper(person.code_set, person.codes)
    if kind == "temporary":
        return Paper.issued(person.user)
    return make_token(kind, person.user)


def make_token(kind: str, user: User | None = None, **columns: Any) -> Any:
    """A token of this kind in the database, the person's or in stock, and it in hand."""
    name = kind.removeprefix("hardware_")
    columns.setdefault("serial", f"T{next(_numbers):06d}" if kind != name or name == "yubiotp" or not user else "")
    if name == "yubiotp":
        key = YubiKey.new(user, **columns)
        key.device.save(force_insert=True)
        return key
    sent: dict[str, dict[str, Any]] = {"sms": {"address": "+4915112345678"}, "email": {"address": "p@example.org", "digits": 8}}
    row = new_device(user, Kind(name), **{**sent.get(name, {}), **columns})
    row.save(force_insert=True)
    made: dict[str, Callable[[Device], Authenticator]] = {"totp": Clock, "hotp": Button, "sms": Inbox, "email": Inbox}
    return made[name](row)


class KeyInHand:
    """A security key, which signs what it is asked."""

    def __init__(self, device: Device, key: SoftKey) -> None:
        self.device, self.key = device, key

    def right(self, handle: str, ask: Callable[[], Any]) -> Any:
        return self.key.get(ask()["public_key"])

    def wrong(self, handle: str, ask: Callable[[], Any]) -> Any:
        return {**self.key.get(ask()["public_key"]), "type": "password"}


class Api:
    """A client of `/api/v1/`: JSON in, JSON out; with a bearer or with the cookies of its own jar."""

    def __init__(self, bearer: str = "") -> None:
        self.client, self.bearer, self.csrf = Client(enforce_csrf_checks=True), bearer, ""

    def call(self, method: str, path: str, body: Any = None, **extra: Any) -> Any:
        """The response; `.status_code`, `.json()`."""
        if self.bearer:
            extra["HTTP_AUTHORIZATION"] = f"Bearer {self.bearer}"
        if self.csrf:
            extra["HTTP_X_CSRFTOKEN"] = self.csrf
        arguments = {} if body is None else {"data": body, "content_type": "application/json"}
        return getattr(self.client, method.lower())(f"/api/v1/{path}", **arguments, **extra)

    def post(self, path: str, body: Any = None, **extra: Any) -> Any:
        return self.call("POST", path, {} if body is None else body, **extra)

    def get(self, path: str, **extra: Any) -> Any:
        return self.call("GET", path, **extra)

    def take_csrf(self) -> None:
        """As a browser application does: any GET of the sign-in page sets the cookie."""
        self.client.get("/sign-in/")
        self.csrf = self.client.cookies["csrftoken"].value

    def start(self, person: Person) -> str:
        """The handle of a sign-in after the right password."""
        answer = self.post("sign-ins", {"username": person.user.username, "password": person.password})
        assert answer.status_code == 201, answer.content
        return str(answer.json()["sign_in"])

    def challenge(self, handle: str, device: Device) -> dict[str, Any]:
        """The WebAuthn options for the key."""
        answer = self.post("sign-ins/challenge", {"sign_in": handle, "device": str(device.uuid)})
        assert answer.status_code == 200, answer.content
        return dict(answer.json()["public_key"])

    def answer(self, handle: str, device: Device, given: Any, **more: Any) -> Any:
        return self.post("sign-ins/answer", {"sign_in": handle, "device": str(device.uuid), "answer": given, **more})

    def ask(self, handle: str, device: Device) -> Callable[[], dict[str, Any]]:
        """What fetches the challenge of this device."""

        def fetch() -> dict[str, Any]:
            answer = self.post("sign-ins/challenge", {"sign_in": handle, "device": str(device.uuid)})
            assert answer.status_code == 200, answer.content
            return dict(answer.json())

        return fetch

    def right(self, handle: str, held: Authenticator) -> Any:
        """The next right answer of what is held, for this sign-in."""
        return held.right(handle, self.ask(handle, held.device))

    def wrong(self, handle: str, held: Authenticator) -> Any:
        """A wrong one."""
        return held.wrong(handle, self.ask(handle, held.device))

    def sign_in(self, person: Person, kind: str = "", **more: Any) -> dict[str, Any]:
        """Through both factors, with what is held of this kind, or the app, or else the key; the grant."""
        handle = self.start(person)
        if kind or not (person.apps or person.keys):
            held = person.held[kind] if kind else next(iter(person.held.values()))
            answer = self.answer(handle, held.device, self.right(handle, held), **more)
        elif person.apps:
            answer = self.answer(handle, person.app, person.code(), **more)
        else:
            answer = self.answer(handle, person.key, person.soft_key.get(self.challenge(handle, person.key)), **more)
        assert answer.status_code == 200, answer.content
        return dict(answer.json())


def code_of(answer: Any) -> tuple[int, str]:
    """Status and problem code."""
    return answer.status_code, answer.json()["code"]


@pytest.fixture(autouse=True)
def _fresh_keys() -> Iterator[None]:
    """Each test's database has signing keys and a MAC key of its own."""
    signing.forget()
    keyring.forget()
    notices.forget()
    yield
    signing.forget()
    keyring.forget()


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    """Each test begins with an empty cache, as it does with an empty database."""
    if settings.CACHE_URL:
        cache = counters._redis(settings.CACHE_URL).client
        for key in cache.scan_iter("mfa_site:*"):
            cache.delete(key)


@pytest.fixture(autouse=True)
def _every_kind_is_on(settings: Any) -> None:
    """Codes by SMS and e-mail too, unless a test says otherwise."""
    settings.KINDS_OFF = frozenset()


@pytest.fixture
def api(db: None) -> Api:
    return Api()


@pytest.fixture
def person(db: None) -> Callable[..., Person]:
    return make_person


@pytest.fixture
def alice(db: None) -> Person:
    return make_person("totp", username="alice")


@pytest.fixture
def bob(db: None) -> Person:
    return make_person("fido2", username="bob")


@pytest.fixture
def mallory(db: None) -> Person:
    return make_person("totp", username="mallory")


@pytest.fixture
def nora(db: None) -> Person:
    return make_person(username="nora")


@pytest.fixture
def carol(db: None) -> Person:
    return make_person("sms", username="carol")


@pytest.fixture
def gateway(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """Where text messages go; a second try comes at once."""
    monkeypatch.setattr(sending, "AGAIN", 0.05)
    with running() as state:
        settings.SMS_URL = state.url
        yield state


@pytest.fixture
def office(settings: Any) -> Iterator[PostOffice]:
    """Where mail goes."""
    with post_office(settings) as opened:
        yield opened
