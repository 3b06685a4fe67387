"""What was proven for a request, and the decorator that says what a view needs.

`request.proof` is set by `accounts.middleware` for every entrance alike: a session cookie or a bearer token that
both stand for two factors; it is None for anybody else, half-finished sign-ins included.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from mfa_site.errors import Reason, Refused

STEP_UP_MAX_AGE = 300  # seconds; OWASP ASVS 7.5.1 asks for a recent proof, five minutes is our reading


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


def needs(*, max_age: int | None = None) -> Callable[[View], View]:
    """The view runs only with a proof, at most `max_age` seconds old where that is given.

    Else Refused: NOT_SIGNED_IN without a proof, STEP_UP_NEEDED where it is too old (RFC 9470).
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            check(request, max_age=max_age)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def proof_of(request: HttpRequest) -> RequestProof | None:
    """`request.proof`, typed."""
    proof: RequestProof | None = getattr(request, "proof", None)
    return proof


def check(request: HttpRequest, *, max_age: int | None = None) -> RequestProof:
    """The request's proof if it is fresh enough; Refused as for `needs`."""
    proof = proof_of(request)
    if proof is None:
        raise Refused(Reason.NOT_SIGNED_IN)
    if max_age is not None and timezone.now() - proof.auth_time > timedelta(seconds=max_age):
        raise Refused(Reason.STEP_UP_NEEDED, max_age=max_age)
    return proof
