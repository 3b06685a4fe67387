"""Invitations over the API."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import invitations
from accounts.api import shapes
from desk.api import somebody
from desk.approvals import approved
from desk.gate import administrator, refuse_higher
from mfa_site import api
from mfa_site.client import client


def invite(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`POST users/<uuid>/invitations`: a link and a code to enrol one device, shown once; never for oneself."""
    user = administrator(request, "invite")
    given = api.body(request, {"kinds": list, "ask_surviving_factor?": bool})
    kinds, ask = invitations.in_offered_order(given["kinds"]), given.get("ask_surviving_factor", True)
    holder = somebody(uuid)
    refuse_higher(user, holder)
    who, now = client(request), timezone.now()
    with approved("administrators", f"invitation:{holder.uuid}", user, who, now, person=holder):
        made = invitations.make(holder, kinds, who, now, actor=user.uuid, ask_surviving_factor=ask)
    shown = {"url": made.url, "code": made.code, "expires_at": shapes.moment(made.invitation.expires_at)}
    return api.answer(shown, status=201)
