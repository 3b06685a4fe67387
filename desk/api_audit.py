"""What auditors ask over the API."""

import re
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from audit import export, search
from desk import looking_up
from desk.api import asked
from desk.gate import administrator
from mfa_site import api
from mfa_site.errors import Reason, Refused

MOST = 500  # events of a page
USUAL = 100


def events(request: HttpRequest) -> HttpResponse:
    """`GET audit-events`: events that fit every value given, the newest first; `next` while older ones were not looked at."""
    administrator(request, "view_audit")
    given = asked(request, *looking_up.READ, "after", "limit")
    after, most = behind(given.pop("after")), limit(given.pop("limit"))
    found = search.look(looking_up.sought(given), most, after)
    told = [export.told(event) for event in found.events]
    return api.answer({"events": told, "next": str(found.last) if found.last else None})


def behind(text: str) -> UUID | None:
    """Behind which event to go on; Refused MALFORMED for what is no uuid."""
    if not text:
        return None
    if uuid := looking_up.uuid_of(text):
        return uuid
    raise Refused(Reason.MALFORMED)


def limit(text: str) -> int:
    """How many events; Refused MALFORMED for no number from 1 to MOST."""
    if not text:
        return USUAL
    if not re.fullmatch("[1-9][0-9]{0,2}", text) or int(text) > MOST:
        raise Refused(Reason.MALFORMED)
    return int(text)
