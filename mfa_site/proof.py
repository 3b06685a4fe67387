"""What was proven for a request, and the decorator that says what a view needs.

`request.proof` is set by `accounts.middleware` for every entrance alike: a session cookie or a bearer token that
both stand for two factors; it is None for anybody else, half-finished sign-ins included.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from mfa_site.errors import Reason, Refused

STEP_UP_MAX_AGE = 300  # seconds; OWASP ASVS 7.5.1 asks for a recent proof, five minutes is our reading
ACR = ("aal1", "aal2", "phr", "phrh")  # weakest first


class Needed(TypedDict, total=False):
    """What a proof has to be: at least this strong, at most this many seconds old."""

    acr: str
    max_age: int


# For everything that adds, removes, renames or weakens: `@needs(**STEP_UP)`.
STEP_UP: Needed = {"acr": "aal2", "max_age": STEP_UP_MAX_AGE}


@dataclass(frozen=True)
class RequestProof:
    """Who, by which methods, how strong and when. `sid` is the browser session's or refresh family's uuid."""

    person: UUID
    sid: UUID
    amr: tuple[str, ...]
    acr: str
    auth_time: datetime
    by: Literal["session", "bearer"]


View = Callable[..., HttpResponse]


def needs(*, acr: str | None = None, max_age: int | None = None) -> Callable[[View], View]:
    """The view runs only with a proof: of this strength or more, at most `max_age` seconds old, where those are given.

    Else Refused: NOT_SIGNED_IN without a proof, STEP_UP_NEEDED where it is too weak or too old (RFC 9470).
    """
    assert acr is None or acr in ACR

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            check(request, acr=acr, max_age=max_age)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def proof_of(request: HttpRequest) -> RequestProof | None:
    """`request.proof`, typed."""
    proof: RequestProof | None = getattr(request, "proof", None)
    return proof


def check(request: HttpRequest, *, acr: str | None = None, max_age: int | None = None) -> RequestProof:
    """The request's proof if it is strong and fresh enough; Refused as for `needs`."""
    proof = proof_of(request)
    if proof is None:
        raise Refused(Reason.NOT_SIGNED_IN)
    if not _meets(proof, acr, max_age):
        raise Refused(Reason.STEP_UP_NEEDED, acr=acr, max_age=max_age)
    return proof


def _meets(proof: RequestProof, acr: str | None, max_age: int | None) -> bool:
    strong = acr is None or ACR.index(proof.acr) >= ACR.index(acr)
    return strong and (max_age is None or timezone.now() - proof.auth_time <= timedelta(seconds=max_age))
