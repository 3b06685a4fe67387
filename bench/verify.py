"""What judging an answer costs. No database, no HTTP: parse and verify alone, beside the library's own way.

Each figure is the median of the rounds; the rounds alternate between the cases, so that a busy machine hits all alike.
"""

import os
import statistics
import time
from collections.abc import Callable

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mfa_site.settings")
os.environ.setdefault("MFA_SITE_DEBUG", "1")
django.setup()

from django.conf import settings  # noqa: E402
from django.utils import timezone  # noqa: E402
from fido2.server import Fido2Server  # noqa: E402
from fido2.webauthn import AttestedCredentialData, PublicKeyCredentialRpEntity  # noqa: E402

from accounts.models import User  # noqa: E402
from devices.kinds import fido2, totp  # noqa: E402
from devices.models import Device  # noqa: E402
from mfa_site.site import this_site  # noqa: E402
from tests.soft_key import SoftKey, b64  # noqa: E402

ROUNDS, CALLS = 25, 200


def key_case(algorithm: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Our `verify` of one assertion, and the library's `authenticate_complete` of the same."""
    key = SoftKey(algorithm, origin=settings.BASE_URL)
    device = Device(user=User(username="bench"), kind="fido2", name="Key", credential_id=key.credential_id, counter=0)
    device.public_key, device.rp_id = fido2.cbor.encode(dict(key.public)), "localhost"
    kept = b64(os.urandom(32))
    answer, site, now = key.get({"challenge": kept}), this_site(), timezone.now()
    server = Fido2Server(PublicKeyCredentialRpEntity(id="localhost", name="x"), verify_origin=site.origins.__contains__)
    known = [AttestedCredentialData.create(bytes(16), key.credential_id, key.public)]
    state = {"challenge": kept, "user_verification": None}
    return (
        lambda: fido2.verify(device, answer, kept, site, now),
        lambda: server.authenticate_complete(state, known, answer),
    )


def totp_case() -> Callable[[], object]:
    """Our `verify` of one code, the seed's decryption included."""
    device = Device(kind="totp", name="App")
    device.seed = os.urandom(20)
    now = timezone.now()
    code = totp.code_now(device, now)
    return lambda: totp.verify(device, code, "", this_site(), now)


def microseconds(call: Callable[[], object]) -> float:
    """One round: the mean time of a call."""
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6


def medians() -> dict[str, float]:
    """Microseconds of each case."""
    cases: dict[str, Callable[[], object]] = {}
    for name, algorithm in (("ES256", -7), ("EdDSA", -8), ("RS256", -257)):
        cases[f"assertion {name}"], cases[f"assertion {name}, fido2's authenticate_complete"] = key_case(algorithm)
    cases["TOTP code"] = totp_case()
    rounds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, call in cases.items():
            rounds[name].append(microseconds(call))
    return {name: statistics.median(times) for name, times in rounds.items()}
