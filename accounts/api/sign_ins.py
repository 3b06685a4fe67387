"""Signing in over the API: password, device, grant."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import enrolment, known_browsers, lining_up, rules, signin
from accounts.api import shapes
from accounts.models import BrowserSession
from accounts.sessions import session_of
from accounts.signin import Grant, Passed
from grants import refresh
from mfa_site import api
from mfa_site.client import Client, client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import RequestProof, proof_of

GRANTS = ("token", "session")  # the first where none is asked for


def start(request: HttpRequest) -> HttpResponse:
    """`POST sign-ins`: 201 with a secret handle and the devices that may be used now."""
    given = api.body(request, {"username": str, "password": str})
    now = timezone.now()
    sign_in, handle = signin.start(request, given["username"], given["password"], client(request), now)
    return api.answer(shapes.ceremony(sign_in, handle, now), status=201)


def challenge(request: HttpRequest) -> HttpResponse:
    """`POST sign-ins/challenge`: what the client needs to answer this device."""
    given = api.body(request, {"sign_in": str, "device": str})
    now = timezone.now()
    sign_in = signin.by_handle(given["sign_in"], asker(request), now)
    device, shown = signin.choose(sign_in, shapes.uuid(given["device"]), now)
    expires_in = shapes.seconds_until(sign_in.expires_at, now)
    return api.answer({"device": str(device.uuid), "kind": device.kind, "expires_in": expires_in, **shown.shown})


def answer(request: HttpRequest) -> HttpResponse:
    """`POST sign-ins/answer`: a right answer is worth a token pair or a session."""
    return _answered(request, signin.answer)


def enrol(request: HttpRequest) -> HttpResponse:
    """`POST sign-ins/enrol`: the first device of a new account is begun; a hardware token that two of its codes claim signs in
    at once."""
    given = api.body(request, {"sign_in": str, "grant?": str, **shapes.NEW_DEVICE})
    now, caller = timezone.now(), client(request)
    wanted = given.pop("grant", None)
    if wanted not in (None, *GRANTS) or (wanted and "serial" not in given):
        raise Refused(Reason.MALFORMED)
    answers = shapes.two_codes(given) if "serial" in given else []
    sign_in = signin.by_handle(given.pop("sign_in"), asker(request), now)
    if answers:
        grant = granting(request, wanted, caller, now)
        return api.answer(lining_up.claim_first(sign_in, given, answers, grant, caller, now))
    return begun_answer(enrolment.begin_first(sign_in, given.pop("kind"), given, caller, now), now)


def confirm(request: HttpRequest) -> HttpResponse:
    """`POST sign-ins/enrol/confirm`: the first device is active and its person signed in."""
    return _answered(request, enrolment.confirm_first)


def _answered(request: HttpRequest, carry_out: Callable[..., dict[str, Any]]) -> HttpResponse:
    given = api.body(request, {"sign_in": str, "device": str, "answer": (str, dict), "grant?": str})
    now, caller = timezone.now(), client(request)
    if given.get("grant", GRANTS[0]) not in GRANTS:
        raise Refused(Reason.MALFORMED)
    sign_in = signin.by_handle(given["sign_in"], asker(request), now)
    grant = (renewing if sign_in.is_step_up else granting)(request, given.get("grant"), caller, now)
    return api.answer(carry_out(sign_in, shapes.uuid(given["device"]), given["answer"], grant, caller, now))


def cancel(request: HttpRequest) -> HttpResponse:
    """`POST sign-ins/cancel`: 204, over for good."""
    given = api.body(request, {"sign_in": str})
    now = timezone.now()
    signin.cancel(signin.by_handle(given["sign_in"], asker(request), now), client(request), now)
    return api.empty()


def asker(request: HttpRequest) -> UUID | None:
    """The session or family that calls; a step-up is open to the one that began it alone."""
    proof = proof_of(request)
    return proof.sid if proof else None


def begun_answer(begun: enrolment.Begun, now: datetime) -> HttpResponse:
    """201 with the device and what the person must see of it, once."""
    shown = {
        "device": shapes.device(begun.device, now),
        "expires_in": shapes.seconds_until(begun.sign_in.expires_at, now),
        **begun.shown.shown,
    }
    return api.answer(shown, status=201)


def granting(request: HttpRequest, kind: str | None, caller: Client, now: datetime) -> Grant[dict[str, Any]]:
    """How a sign-in that passed is rewarded: `token` or `session`; the latter sets a cookie and needs the CSRF header.

    Checked before anything is spent: Refused CSRF_FAILED without the header.
    """
    if kind == "session":
        api.require_csrf(request)
        return lambda passed: session_for(request, passed, caller, now)
    return lambda passed: pair_for(passed, caller, now)


def renewing(request: HttpRequest, kind: str | None, caller: Client, now: datetime) -> Grant[dict[str, Any]]:
    """How a step-up that passed is rewarded: with what began it, renewed; Refused WRONG_STATE where the other is asked for."""
    own = "session" if api.by_session(request) else "token"
    if kind not in (None, own):
        raise Refused(Reason.WRONG_STATE)
    return lambda passed: renewed_session(request, passed, now) if own == "session" else renewed_pair(passed, now)


def pair_for(passed: Passed, caller: Client, now: datetime) -> dict[str, Any]:
    """A new refresh family and its first pair of tokens; Refused BLOCKED_BY_POLICY where the sign-in is below the policy, for
    whoever is shown a token may not ask how strong it is."""
    refuse_limited(passed)
    user = passed.user
    pair = refresh.start(
        sid=passed.sid,
        person=user.uuid,
        device=passed.device.uuid,
        amr=passed.amr,
        acr=passed.acr,
        staff=user.is_staff,
        client=caller,
        now=now,
    )
    return pair.as_json(now)


def refuse_limited(passed: Passed) -> None:
    """A code that only adds a device does so in a session."""
    if passed.limited:
        raise rules.refusal(passed.device, "weakest_acr")


def session_for(request: HttpRequest, passed: Passed, caller: Client, now: datetime) -> dict[str, Any]:
    """A new browser session; the response sets its cookie, and that of a known browser."""
    known_browsers.remember(request, passed.user.uuid)
    return session_answer(session_of(request).sign_in(passed, caller, now), passed, now)


def session_answer(row: BrowserSession, passed: Passed, now: datetime) -> dict[str, Any]:
    """Who is signed in by this session, with what was just proven."""
    proof = RequestProof(passed.user.uuid, row.uuid, tuple(passed.amr), passed.acr, now, "session")
    return {"me": shapes.me(passed.user, proof), "expires_in": shapes.seconds_until(row.expires_at, now)}


def renewed_session(request: HttpRequest, passed: Passed, now: datetime) -> dict[str, Any]:
    """The same session with the new proof; the response sets its new cookie."""
    row = session_of(request).step_up(passed, now)
    return session_answer(row, passed, now)


def renewed_pair(passed: Passed, now: datetime) -> dict[str, Any]:
    """A new pair of the same family; Refused SIGN_IN_OVER if it ended meanwhile."""
    refuse_limited(passed)
    pair = refresh.step_up(passed.sid, device=passed.device.uuid, amr=passed.amr, acr=passed.acr, now=now)
    if pair is None:
        raise Refused(Reason.SIGN_IN_OVER)
    return pair.as_json(now)
