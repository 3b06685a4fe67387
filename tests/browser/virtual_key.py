"""Security keys in software that Chromium takes for real ones: its WebAuthn virtual authenticators.

One class for each kind of key that a person may hold: `with UsbKey(page) as key:` plugs it in, leaving pulls it out.
A key belongs to one page, and stays through reloads and navigation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

from playwright.sync_api import CDPSession, Page

_slots: WeakKeyDictionary[Page, CDPSession] = WeakKeyDictionary()


def slot(page: Page) -> CDPSession:
    """Where keys are plugged in. Without one a page waits for real hardware, for ever."""
    if page not in _slots:
        _slots[page] = page.context.new_cdp_session(page)
        _slots[page].send("WebAuthn.enable", {"enableUI": False})
    return _slots[page]


class VirtualKey:
    """A FIDO2 key with a PIN that its owner knows, touched whenever it blinks; subclasses say what differs."""

    options: ClassVar[dict[str, Any]] = {"transport": "usb"}
    device_name = "Security key"  # what the service calls it at first

    def __init__(self, page: Page) -> None:
        self.page, self.id = page, ""
        self.options_now: dict[str, Any] = {
            "protocol": "ctap2",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
            **self.options,
        }

    def plug_in(self) -> Self:
        """From now on the page finds it."""
        plugged_in = slot(self.page).send("WebAuthn.addVirtualAuthenticator", {"options": self.options_now})
        self.id = plugged_in["authenticatorId"]
        return self

    def __enter__(self) -> Self:
        return self.plug_in()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self.page.is_closed():
            self._send("removeVirtualAuthenticator")

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = slot(self.page).send(f"WebAuthn.{method}", {"authenticatorId": self.id, **parameters})
        return answer

    # ---- what a person does with it ------------------------------------------------------------------------------

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """It blinks, and nobody touches it."""
        self._send("setAutomaticPresenceSimulation", enabled=False)
        yield
        self._send("setAutomaticPresenceSimulation", enabled=True)

    @contextmanager
    def wrong_pin(self) -> Iterator[None]:
        """The PIN that is typed is not the key's."""
        self._send("setUserVerified", isUserVerified=False)
        yield
        self._send("setUserVerified", isUserVerified=True)

    # ---- what an attacker does with it ---------------------------------------------------------------------------

    def sabotage(self, *, bogus_signature: bool = False, no_presence: bool = False) -> None:
        """Its answers are wrong from now on, in these ways."""
        self._send("setResponseOverrideBits", isBogusSignature=bogus_signature, isBadUP=no_presence, isBadUV=False)

    def credentials(self) -> list[dict[str, Any]]:
        """What is stored on it, private keys and counters too."""
        return list(self._send("getCredentials")["credentials"])

    def counter(self) -> int:
        """The signature counter of its only credential."""
        [credential] = self.credentials()
        return int(credential["signCount"])

    def copy_onto(self, other: "VirtualKey", *, counter: int) -> None:
        """The other key has the private key too; the counter is what it was when the copy was made."""
        [credential] = self.credentials()
        other._send("addCredential", credential={**credential, "signCount": counter})

    def forget(self) -> None:
        """It was reset: empty, as new."""
        self._send("clearCredentials")


class UsbKey(VirtualKey):
    """In a USB port."""


class NfcKey(VirtualKey):
    """Held to the phone or reader."""

    options = {"transport": "nfc"}


class BleKey(VirtualKey):
    """Over Bluetooth."""

    options = {"transport": "ble"}


class SmartCard(VirtualKey):
    """In a card reader."""

    options = {"transport": "smart-card"}


class HybridPhone(VirtualKey):
    """A phone that scans the browser's code; its passkey is synced."""

    options = {"transport": "hybrid", "defaultBackupEligibility": True, "defaultBackupState": True}
    device_name = "Phone"


class Platform(VirtualKey):
    """The lock of the computer or phone itself."""

    options = {"transport": "internal"}
    device_name = "This device"


class SyncedPasskey(VirtualKey):
    """In the password manager of the computer or phone, on all devices of its owner."""

    options = {"transport": "internal", "defaultBackupEligibility": True, "defaultBackupState": True}
    device_name = "This device"


class PinlessKey(VirtualKey):
    """FIDO2, but without PIN and without room for passkeys."""

    options = {"transport": "usb", "hasResidentKey": False, "hasUserVerification": False, "isUserVerified": False}


class U2fKey(VirtualKey):
    """A FIDO U2F key from before FIDO2, in a USB port."""

    options = {"transport": "usb"}

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.options_now.update(protocol="u2f", hasResidentKey=False, hasUserVerification=False, isUserVerified=False)


class U2fNfcKey(U2fKey):
    """U2F, held to the phone or reader."""

    options = {"transport": "nfc"}


class U2fBleKey(U2fKey):
    """U2F over Bluetooth."""

    options = {"transport": "ble"}


EVERY_KIND: tuple[type[VirtualKey], ...] = (
    UsbKey,
    NfcKey,
    BleKey,
    SmartCard,
    HybridPhone,
    Platform,
    SyncedPasskey,
    PinlessKey,
    U2fKey,
    U2fNfcKey,
    U2fBleKey,
)
