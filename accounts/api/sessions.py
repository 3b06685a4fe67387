"""One's own sessions over the API."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import own_sessions
from accounts.api import shapes
from accounts.api.own import page, person
from accounts.sessions import session_of
from mfa_site import api
from mfa_site.client import client
from mfa_site.proof import check, needs


@needs()
def sessions(request: HttpRequest) -> HttpResponse:
    """`GET sessions`: a page of one's browsers and token families that are alive, oldest first."""
    rows, more = page(request, own_sessions.listed(person(request), check(request).sid, timezone.now()))
    return api.answer({"sessions": [shape(row) for row in rows], "next": more})


@needs()
def end(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`DELETE sessions/<uuid>`: 204; ending the current one signs out."""
    now = timezone.now()
    own_sessions.end(person(request), uuid, client(request), now)
    if uuid == check(request).sid and api.by_session(request):
        session_of(request).end(own_sessions.ENDED, now)
    return api.empty()


@needs()
def end_others(request: HttpRequest) -> HttpResponse:
    """`DELETE sessions`: 204; the current one is the only one left."""
    own_sessions.end_others(person(request), check(request).sid, client(request), timezone.now())
    return api.empty()


def shape(session: own_sessions.Session) -> dict[str, Any]:
    """One session in JSON."""
    return {
        "uuid": str(session.uuid),
        "type": session.type,
        "client": session.client,
        "device": session.device,
        "created_at": shapes.moment(session.created_at),
        "last_seen_at": shapes.moment(session.last_seen_at),
        "expires_at": shapes.moment(session.expires_at),
        "current": session.current,
    }
