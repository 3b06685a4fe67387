"""The security keys that are plugged into this machine, spoken to by CTAP (https://fidoalliance.org/specs/fido-v2.2-ps-20250714).

python-fido2 knows the wire, the PIN protocols and how a client asks. Said here: which key is meant, and whose PIN is asked for
when; `desk.key_troubles` has what a person reads when it goes wrong.
"""

import json
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

from fido2.client import ClientError, DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from fido2.hid import CtapHidDevice
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AuthenticatorData

from desk.key_troubles import KeyTrouble, WrongPin, asking, meaning

Find = Callable[[], Iterable[CtapDevice]]
Say = Callable[[str], None]
Ask = Callable[[str], str]  # what is typed is not shown
PATIENCE = 120.0  # seconds in which a key is plugged in, or touched
LOOK_EVERY = 0.5
LONGEST_PIN = 63  # bytes, CTAP 6.5.1
NO_KEY = (
    "There is no security key in this machine. Plug one in, and look whether this account may use it: on Linux that takes "
    "udev's rules for FIDO keys, and a seat at the screen."
)


def find() -> list[CtapDevice]:
    """The keys in USB ports. (Those on NFC readers would need pyscard, which has to be compiled.)"""
    return list(CtapHidDevice.list_devices())


@contextmanager
def chosen(looked_for: Find, say: Say, patience: float) -> Any:
    """The one key that is plugged in, or of several the one that is touched; closed afterwards. KeyTrouble without one."""
    keys = wait_for(looked_for, say, patience)
    try:
        yield keys[0] if len(keys) == 1 else touched(keys, say, patience)
    finally:
        for key in keys:
            key.close()


def wait_for(looked_for: Find, say: Say, patience: float) -> list[CtapDevice]:
    """What is plugged in, as soon as something is."""
    end, asked = time.monotonic() + patience, False
    while not (keys := list(looked_for())):
        if time.monotonic() >= end:
            raise KeyTrouble(NO_KEY)
        if not asked:
            say("Plug in the security key.")
        asked = True
        time.sleep(LOOK_EVERY)
    return keys


def touched(keys: list[CtapDevice], say: Say, patience: float) -> CtapDevice:
    """All of them blink; the one that is touched first, and the others stop."""
    say(f"{len(keys)} keys are plugged in. Touch the one that is meant.")
    over, first = threading.Event(), []

    def blink(key: CtapDevice) -> None:
        try:
            Fido2Client(key, DefaultClientDataCollector("https://localhost")).selection(over)
        except (ClientError, CtapError, OSError, ValueError):  # cancelled, pulled out, or no key that can be asked
            return
        if not over.is_set():
            first.append(key)
            over.set()

    threads = [threading.Thread(target=blink, args=(key,), daemon=True) for key in keys]
    for thread in threads:
        thread.start()
    end = time.monotonic() + patience
    while not over.is_set() and any(thread.is_alive() for thread in threads) and time.monotonic() < end:
        over.wait(0.1)
    over.set()
    for thread in threads:
        thread.join(5)
    if not first:
        raise KeyTrouble("No key was touched. Pull out those that are not meant, and try again.")
    return first[0]


class Person(UserInteraction):
    """Who sits before the key, for at most so many seconds. A PIN that was just set is not asked for again."""

    def __init__(self, whose: str, say: Say, ask: Ask, patience: float) -> None:
        self.whose, self.say, self.ask, self.patience, self.pin = whose, say, ask, patience, ""

    def prompt_up(self) -> None:
        self.say("Touch the key when it blinks.")

    def request_pin(self, permissions: Any, rp_id: str | None) -> str:
        pin, self.pin = self.pin or self.ask(f"PIN of the key, typed by {self.whose}: "), ""
        return unicodedata.normalize("NFC", pin)

    def request_uv(self, permissions: Any, rp_id: str | None) -> bool:
        self.say("The key checks that it is you: use your finger.")
        return True


def register(
    key: CtapDevice, origin: str, options: Callable[[], dict[str, Any]], person: Person, *, with_pin: bool, attestation: str
) -> dict[str, Any]:
    """What the key answers to the registration options, as a browser's `toJSON()` gives it. They are fetched when the key is
    ready, for their challenge does not live long. `with_pin`: a key that can check who it is has a PIN, and asks for it."""
    info = asking(key, lambda: Fido2Client(key, DefaultClientDataCollector(origin)).info)
    if info.force_pin_change:
        raise KeyTrouble("This key wants another PIN before anything else. Change it with the app of its maker.")
    can_verify = bool(info.options.keys() & {"clientPin", "uv"})
    if with_pin and info.options.get("clientPin") is False and not info.options.get("uv"):
        set_pin(key, person)
    wanted = _for_ctap(options(), "excludeCredentials", person)
    if with_pin and can_verify:
        wanted["authenticatorSelection"] = {**wanted["authenticatorSelection"], "userVerification": "required"}
    made = _with_pin(key, person, lambda: _client(key, origin, person).make_credential(wanted))  # type: ignore[arg-type]
    told = _as_json(made)
    if attestation == "none":
        plain = AttestationObject.create("none", _nameless(made.response.attestation_object.auth_data), {})
        told["response"]["attestationObject"] = websafe_encode(bytes(plain))
    told["response"]["transports"] = list(info.transports) or ["usb"]
    return told


def answer(key: CtapDevice, origin: str, options: dict[str, Any], person: Person) -> dict[str, Any]:
    """What the key answers to the request options of a sign-in, as a browser's `toJSON()` gives it."""
    wanted = _for_ctap(options, "allowCredentials", person)
    found = _with_pin(key, person, lambda: _client(key, origin, person).get_assertion(wanted))  # type: ignore[arg-type]
    return _as_json(found.get_response(0))


def set_pin(key: CtapDevice, person: Person) -> None:
    """The key has a PIN; asked for twice, until it is long enough and the same."""
    ctap = Ctap2(key)
    least = ctap.info.min_pin_length
    person.say(f"This key has no PIN yet. {person.whose} chooses one, of {least} characters or more, for nobody else to know.")
    while True:
        pin = unicodedata.normalize("NFC", person.ask(f"New PIN, typed by {person.whose}: "))
        if len(pin) < least or len(pin.encode()) > LONGEST_PIN:
            person.say(f"A PIN of this key has {least} characters or more, and {LONGEST_PIN} bytes at most.")
        elif pin != unicodedata.normalize("NFC", person.ask("The same again: ")):
            person.say("These two were not the same.")
        else:
            try:
                ClientPin(ctap).set_pin(pin)
            except CtapError as error:
                if error.code != CtapError.ERR.PIN_POLICY_VIOLATION:
                    raise KeyTrouble(meaning(key, error)) from None
                person.say("The key does not take this PIN: it is too simple. Choose another one.")
            else:
                person.pin = pin
                return


def _with_pin(key: CtapDevice, person: Person, carry_out: Callable[[], Any]) -> Any:
    """What comes of it, asking again after a wrong PIN as long as the key lets somebody try."""
    while True:
        try:
            return asking(key, carry_out)
        except WrongPin as wrong:
            person.say(str(wrong))


def _client(key: CtapDevice, origin: str, person: Person) -> Fido2Client:
    return Fido2Client(key, DefaultClientDataCollector(origin), user_interaction=person)


def _for_ctap(options: dict[str, Any], listed: str, person: Person) -> dict[str, Any]:
    """The options without what means nothing to a key that is plugged in; the library does not know every transport."""
    keys = [{name: value for name, value in one.items() if name != "transports"} for one in options.get(listed, ())]
    timeout = min(options["timeout"], int(person.patience * 1000))
    return {name: value for name, value in options.items() if name != "hints"} | {listed: keys, "timeout": timeout}


def _nameless(data: AuthenticatorData) -> AuthenticatorData:
    """Without the model, as browsers give it where no attestation is wanted (WebAuthn 5.1.3)."""
    credential = data.credential_data
    assert credential is not None
    plain = type(credential).create(Aaguid.NONE, credential.credential_id, credential.public_key)
    made: AuthenticatorData = AuthenticatorData.create(data.rp_id_hash, data.flags, data.counter, plain, data.extensions)
    return made


def _as_json(made: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(json.dumps(dict(made)))
    return whole
