"""What people hold, beside apps and security keys: each gives its next right answer, and a wrong one, by means of its own.

Codes come from pyotp, Yubico OTPs are encrypted here as a YubiKey does it, block by block.
"""

import secrets
from collections.abc import Callable
from typing import Any, Protocol

import pyotp
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from django.utils import timezone

from accounts import temporary
from accounts.models import SignIn, User
from audit.events import OPERATOR
from devices.lifecycle import State
from devices.models import Device, Kind
from devices.oath import DIGESTS, base32
from mfa_site.client import Client
from mfa_site.keyring import token_hash

MODHEX = "cbdefghijklnrtuv"


class Authenticator(Protocol):
    """`ask` fetches what there is to answer (`challengeSignIn`) for the sign-in of this handle."""

    device: Device

    def right(self, handle: str, ask: Callable[[], Any]) -> Any: ...
    def wrong(self, handle: str, ask: Callable[[], Any]) -> Any: ...


def new_device(user: User | None, kind: Kind, serial: str = "", **columns: Any) -> Device:
    """A device in the database, with a seed; in use, or in stock if it is nobody's."""
    now, state = timezone.now(), State.ACTIVE if user else State.IN_STOCK
    row = Device(user=user, kind=kind, serial=serial, **{"state": state, "confirmed_at": user and now, **columns})
    row.name = Kind(kind).label if user else ""
    if kind != Kind.YUBIOTP:
        row.seed = secrets.token_bytes(20)
    return row


class Clock:
    """A TOTP token or app. `ahead`: how many steps its clock is wrong."""

    def __init__(self, device: Device) -> None:
        self.device, self.ahead = device, 0
        digest = DIGESTS[device.algorithm]
        self.totp = pyotp.TOTP(base32(device.seed), digits=device.digits, digest=digest, interval=device.period)
        self.last = 0

    def step(self) -> int:
        """The time step that it is in."""
        return int(timezone.now().timestamp()) // self.device.period + self.ahead

    def at(self, step: int) -> str:
        """What it shows at this step."""
        return str(self.totp.generate_otp(step))

    def next(self) -> str:
        """What it shows now, or in the next step if this one was read before."""
        self.last = max(self.step(), self.last + 1)
        return self.at(self.last)

    def two(self, ahead: int = 0) -> list[str]:
        """Two codes in a row, the second one on screen now."""
        return [self.at(self.step() + ahead - 1), self.at(self.step() + ahead)]

    def right(self, handle: str, ask: Callable[[], Any]) -> str:
        return self.next()

    def wrong(self, handle: str = "", ask: Callable[[], Any] = lambda: None) -> str:
        return other_than({self.at(self.step() + steps) for steps in range(-120, 121)}, self.device.digits)


class Button:
    """An HOTP token: each press shows the next code."""

    def __init__(self, device: Device) -> None:
        self.device, self.pressed = device, device.counter
        self.hotp = pyotp.HOTP(base32(device.seed), digits=device.digits, digest=DIGESTS[device.algorithm])

    def at(self, counter: int) -> str:
        """The code of this counter."""
        return str(self.hotp.at(counter))

    def next(self, presses: int = 1) -> str:
        """What it shows after so many presses."""
        self.pressed += presses
        return self.at(self.pressed)

    def two(self, presses: int = 1) -> list[str]:
        """Two codes in a row."""
        return [self.next(presses), self.next()]

    def right(self, handle: str, ask: Callable[[], Any]) -> str:
        return self.next()

    def wrong(self, handle: str = "", ask: Callable[[], Any] = lambda: None) -> str:
        near = {self.at(counter) for counter in range(max(0, self.pressed - 5), self.pressed + 150)}
        return other_than(near, self.device.digits)


class Inbox:
    """A phone or a mailbox: the code that went out for this sign-in, found by its number."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.hotp = pyotp.HOTP(base32(device.seed), digits=device.digits)

    def received(self, handle: str) -> str:
        """The code that went out last for this sign-in."""
        return self.code(SignIn.objects.get(handle_hash=token_hash(handle)))

    def code(self, ceremony: SignIn) -> str:
        """The code whose number the ceremony keeps."""
        return str(self.hotp.at(int(ceremony.kept.partition(".")[0])))

    def minute_later(self) -> None:
        """A minute goes by, and another code may be asked for."""
        Device.objects.filter(pk=self.device.pk).update(sent_at=None)

    def right(self, handle: str, ask: Callable[[], Any]) -> str:
        self.minute_later()
        ask()
        return self.received(handle)

    def wrong(self, handle: str, ask: Callable[[], Any]) -> str:
        if not SignIn.objects.get(handle_hash=token_hash(handle)).kept:
            self.minute_later()
            ask()
        return other_than({self.received(handle)}, self.device.digits)


class YubiKey:
    """A YubiKey that types Yubico OTPs: plugged in `usage` times, touched `session` times since."""

    def __init__(self, device: Device, private_id: bytes, key: bytes) -> None:
        self.device, self.private_id, self.key = device, private_id, key
        self.usage, self.session = 1, 0

    @classmethod
    def new(cls, user: User | None, serial: str, **columns: Any) -> "YubiKey":
        """The key, and its device as a seed file brings it."""
        row = new_device(user, Kind.YUBIOTP, serial, **columns)
        private_id, key = secrets.token_bytes(6), secrets.token_bytes(16)
        row.public_id, row.seed = modhex(secrets.token_bytes(6)), private_id + key
        return cls(row, private_id, key)

    def next(self) -> str:
        """What it types when it is touched."""
        self.session += 1
        time = secrets.token_bytes(3)
        block = self.private_id + self.usage.to_bytes(2, "little") + time + bytes([self.session]) + secrets.token_bytes(2)
        block += (crc16(block) ^ 0xFFFF).to_bytes(2, "little")
        encryptor = Cipher(AES(self.key), ECB()).encryptor()  # noqa: S305 (one block, as the key does it)
        return self.device.public_id + modhex(encryptor.update(block) + encryptor.finalize())

    def two(self) -> list[str]:
        """Two touches."""
        return [self.next(), self.next()]

    def right(self, handle: str, ask: Callable[[], Any]) -> str:
        return self.next()

    def wrong(self, handle: str = "", ask: Callable[[], Any] = lambda: None) -> str:
        return self.device.public_id + modhex(secrets.token_bytes(16))


class Paper:
    """Codes that are not made but kept: recovery codes and a temporary one."""

    def __init__(self, device: Device, codes: list[str]) -> None:
        self.device, self.codes, self.used = device, codes, 0

    @classmethod
    def issued(cls, user: User, **more: Any) -> "Paper":
        """A temporary code."""
        row, code = temporary.issue(user, "The token is at home.", Client("", "", ""), timezone.now(), actor=OPERATOR, **more)
        return cls(row, [code])

    def right(self, handle: str, ask: Callable[[], Any]) -> str:
        self.used += 1
        return self.codes[(self.used - 1) % len(self.codes)]

    def wrong(self, handle: str = "", ask: Callable[[], Any] = lambda: None) -> str:
        return "zzzz-zzzz" if len(self.codes) == 1 else "zzzz-zzzz-zzzz-zzzz"


def other_than(codes: set[str], digits: int) -> str:
    """A code of so many digits that is none of these."""
    return next(code for number in range(len(codes) + 1) if (code := f"{number:0{digits}d}") not in codes)


def modhex(data: bytes) -> str:
    """Bytes in the letters that a YubiKey types."""
    return "".join(MODHEX[byte >> 4] + MODHEX[byte & 15] for byte in data)


def crc16(data: bytes) -> int:
    """The CRC of ISO 13239, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0x8408 if value & 1 else value >> 1
    return value
