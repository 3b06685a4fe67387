"""What goes wrong between a security key and who sits before it, in words that say what to do."""

from collections.abc import Callable
from typing import Any

from fido2.client import ClientError, PinRequiredError
from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin

from desk.remote import Failed

E = CtapError.ERR


class KeyTrouble(Failed):
    """This key cannot be used like this; another one, or another try, may do."""


class WrongPin(KeyTrouble):
    """Another try is left."""


def asking(key: CtapDevice, carry_out: Callable[[], Any]) -> Any:
    """What comes of it; whatever the key or the library raise is KeyTrouble, in words."""
    try:
        return carry_out()
    except ClientError as error:
        cause = error.cause
        if isinstance(cause, CtapError):
            wrong = cause.code in (E.PIN_INVALID, E.PIN_AUTH_INVALID) and retries(key) > 0
            raise (WrongPin if wrong else KeyTrouble)(meaning(key, cause)) from None
        if isinstance(error, PinRequiredError):
            raise KeyTrouble("No PIN was given.") from None
        raise KeyTrouble(MEANING_OF_CLIENT.get(error.code, f"The key could not be used ({error.code.name}).")) from None
    except CtapError as error:
        raise KeyTrouble(meaning(key, error)) from None
    except (OSError, ValueError) as error:
        raise KeyTrouble(f"The key stopped answering ({type(error).__name__}). Was it pulled out?") from None


MEANING_OF_CLIENT = {
    ClientError.ERR.DEVICE_INELIGIBLE: "This key is registered already for this person, or is not the one that was asked for.",
    ClientError.ERR.CONFIGURATION_UNSUPPORTED: (
        "The service asks for the PIN of the key, and this one has none. Leave out --no-pin, or take another key."
    ),
    ClientError.ERR.TIMEOUT: "Nobody touched the key in time.",
    ClientError.ERR.BAD_REQUEST: "The key cannot be used at this address: give the one at which people sign in.",
}
MEANING = {
    E.CREDENTIAL_EXCLUDED: "This key is already registered for this person. Take another one.",
    E.NO_CREDENTIALS: "This is another key than the one that was asked for.",
    E.KEEPALIVE_CANCEL: MEANING_OF_CLIENT[ClientError.ERR.TIMEOUT],
    E.USER_ACTION_TIMEOUT: MEANING_OF_CLIENT[ClientError.ERR.TIMEOUT],
    E.ACTION_TIMEOUT: MEANING_OF_CLIENT[ClientError.ERR.TIMEOUT],
    E.OPERATION_DENIED: "It was declined at the key.",
    E.PIN_BLOCKED: "The PIN of this key is blocked for good. Only a reset helps, which erases the key.",
    E.PIN_AUTH_BLOCKED: "Three wrong PINs in a row: pull the key out and plug it in again before the next try.",
    E.PUAT_REQUIRED: MEANING_OF_CLIENT[ClientError.ERR.CONFIGURATION_UNSUPPORTED],
    E.PIN_NOT_SET: MEANING_OF_CLIENT[ClientError.ERR.CONFIGURATION_UNSUPPORTED],
    E.UNSUPPORTED_ALGORITHM: "This key is of a make that the service cannot use. Take another one.",
    E.UNSUPPORTED_OPTION: "This key is of a make that the service cannot use. Take another one.",
    E.KEY_STORE_FULL: "There is no room left on this key. Take another one.",
}


def meaning(key: CtapDevice, error: CtapError) -> str:
    """What the key's error says to a person; with the tries that are left after a wrong PIN."""
    if error.code in (E.PIN_INVALID, E.PIN_AUTH_INVALID):
        left = retries(key)
        if not left:
            return MEANING[E.PIN_BLOCKED]
        return f"That is not the PIN of this key. Tries that are left before it is blocked for good: {left}."
    said = MEANING.get(error.code, f"The key refused ({error.code.name}).")
    return f"{said} Tries that are left: {retries(key)}." if error.code == E.PIN_AUTH_BLOCKED else said


def retries(key: CtapDevice) -> int:
    """How often a PIN may still be tried."""
    try:
        return ClientPin(Ctap2(key)).get_pin_retries()[0]
    except (CtapError, OSError, ValueError):
        return 0
