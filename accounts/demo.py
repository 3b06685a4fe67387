"""The demo people: fixed names and passwords, devices with fresh secrets, the same rows as everybody's."""

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import phonenumbers
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.contrib.auth.hashers import make_password
from django.db import transaction
from fido2 import cbor
from fido2.cose import ES256

from accounts.hashers import CheapForLoadTests
from accounts.models import User, normalised
from devices import oath
from devices.kinds import recovery
from devices.lifecycle import State
from devices.models import Device, Kind
from mfa_site.site import this_site

# username -> (name, staff, kinds of devices)
PEOPLE: dict[str, tuple[str, bool, tuple[Kind, ...]]] = {
    "alice": ("Alice", False, (Kind.TOTP, Kind.RECOVERY)),
    "bob": ("Bob", False, (Kind.FIDO2,)),
    "mallory": ("Mallory", False, (Kind.TOTP,)),
    "nora": ("Nora", False, ()),
    "carol": ("Carol", False, (Kind.SMS,)),
    "dave": ("Dave", False, (Kind.HOTP,)),
    "erin": ("Erin", False, (Kind.TOTP,)),
    "admin": ("Admin", True, (Kind.TOTP, Kind.FIDO2)),
}
# What stands on the back of a hardware token, and what else sets it apart from an app.
HARDWARE: dict[str, dict[str, Any]] = {
    "dave": {"serial": "DEMO-0001", "model": "Demo token with a button"},
    "erin": {"serial": "DEMO-0002", "model": "Demo token with a display", "digits": 8, "algorithm": "sha256"},
}
LOAD_PASSWORD = "load-test-password"  # noqa: S105 (documented; only with DEBUG or DEMO)
BATCH = 500  # people in one transaction; far under PostgreSQL's 65,535 parameters a statement


@dataclass
class Seeded:
    """A person's row with what only the seeding knows in clear."""

    user: User
    password: str
    devices: list[tuple[Device, dict[str, Any]]]
    recovery_codes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """In the shape that `seed_demo --json` prints."""
        rows = [{"uuid": str(row.uuid), "kind": row.kind, "name": row.name, **clear} for row, clear in self.devices]
        return {
            "uuid": str(self.user.uuid),
            "username": self.user.username,
            "password": self.password,
            "staff": self.user.is_staff,
            "devices": rows,
            "recovery_codes": self.recovery_codes,
        }


def password_of(username: str) -> str:
    """The documented password of a demo person."""
    return f"{username}-demo-password"


def seed(now: datetime) -> list[Seeded]:
    """The demo people are in the database."""
    made = []
    with transaction.atomic():
        for username, (name, staff, kinds_) in PEOPLE.items():
            password = password_of(username)
            user = User.objects.create_user(
                username, f"{username}@example.org", password, name=name, is_staff=staff, is_superuser=staff
            )
            about = HARDWARE.get(username, {})
            devices = [new_device(user, kind, now, **about) for kind in kinds_ if kind != Kind.RECOVERY]
            for row, _clear in devices:
                row.save(force_insert=True)
            codes = new_codes(user, now) if Kind.RECOVERY in kinds_ else []
            made.append(Seeded(user, password, devices, codes))
    return made


def seed_many(count: int, cheap: bool, now: datetime) -> Iterator[Seeded]:
    """`user000001` … with one app and one key each, and as many tokens in stock, inserted in bulk; `cheap` passwords cost
    nothing to check."""
    hashed = CheapForLoadTests().encode(LOAD_PASSWORD, secrets.token_hex(8)) if cheap else make_password(LOAD_PASSWORD)
    for start in range(1, count + 1, BATCH):
        names = [f"user{number:06d}" for number in range(start, min(start + BATCH, count + 1))]
        users = [
            User(username=name, username_key=normalised(name), email=f"{name}@example.org", password=hashed) for name in names
        ]
        with transaction.atomic():
            User.objects.bulk_create(users)
            made = [
                Seeded(user, LOAD_PASSWORD, [new_device(user, kind, now) for kind in (Kind.TOTP, Kind.FIDO2)]) for user in users
            ]
            stock = [token(f"LOAD-{name[4:]}", now) for name in names]
            Device.objects.bulk_create([*(row for person in made for row, _clear in person.devices), *stock])
        yield from made


def new_device(user: User, kind: Kind, now: datetime, **about: Any) -> tuple[Device, dict[str, Any]]:
    """An active device, not saved yet, and what its owner holds of it."""
    row = Device(user=user, kind=kind, state=State.ACTIVE, created_at=now, confirmed_at=now, **about)
    if kind == Kind.FIDO2:
        return software_key(row)
    return phone(row) if kind == Kind.SMS else app(row)


def token(serial: str, now: datetime) -> Device:
    """A hardware token in stock, not saved yet."""
    row = Device(kind=Kind.TOTP, state=State.IN_STOCK, serial=serial, model="Load test token", created_at=now)
    row.seed = secrets.token_bytes(oath.SEED_BYTES)
    return row


def new_codes(user: User, now: datetime) -> list[str]:
    """A set of recovery codes, saved; the codes in clear."""
    row = Device(user=user, kind=Kind.RECOVERY, state=State.ACTIVE, created_at=now, confirmed_at=now)
    row.name = "Recovery codes"
    codes = recovery.new_codes()
    recovery.store(row, codes)
    return codes


def app(row: Device) -> tuple[Device, dict[str, Any]]:
    """An authenticator app, or a hardware token where it has a serial; the counter in the URI is the next one."""
    row.name, row.seed = row.model or "Authenticator app", secrets.token_bytes(oath.SEED_BYTES)
    return row, {"otpauth_uri": oath.otpauth_uri(row, this_site())}


def phone(row: Device) -> tuple[Device, dict[str, Any]]:
    """A phone that gets text messages. The URI says which codes they carry: its counter is the number of the next one."""
    number = phonenumbers.example_number_for_type("DE", phonenumbers.PhoneNumberType.MOBILE)
    assert number is not None
    row.name, row.address = "Text message", phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    row.seed = secrets.token_bytes(oath.SEED_BYTES)
    uri = oath.otpauth_uri(row, this_site()).replace("counter=0", "counter=1")
    return row, {"address": row.address, "otpauth_uri": uri if "counter=1" in uri else f"{uri}&counter=1"}


def software_key(row: Device) -> tuple[Device, dict[str, Any]]:
    """A security key in software: ES256, counting from 0."""
    private = ec.generate_private_key(ec.SECP256R1())
    row.name, row.credential_id, row.counter = "Security key", secrets.token_bytes(32), 0
    row.public_key = cbor.encode(dict(cast(Any, ES256).from_cryptography_key(private.public_key())))
    assert row.user is not None
    row.rp_id, row.transports, row.attestation = this_site().rp_id, ["usb"], "none"
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    clear = {
        "credential_id": _b64(row.credential_id),
        "private_key_pem": pem,
        "rp_id": row.rp_id,
        "user_handle": _b64(bytes(row.user.user_handle)),
        "sign_count": 0,
    }
    return row, {"software_key": clear}


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
