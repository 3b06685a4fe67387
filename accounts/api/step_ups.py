"""Step-up over the API: the second factor once more, answered as a sign-in is, by the session or bearer that began it."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import step_up
from accounts.api import shapes
from accounts.api.own import person
from mfa_site import api
from mfa_site.client import client
from mfa_site.proof import check, needs


@needs()
def start(request: HttpRequest) -> HttpResponse:
    """`POST step-ups`: 201 as `POST sign-ins`, without a password."""
    api.body(request, {})
    now = timezone.now()
    ceremony, handle = step_up.begin(person(request), check(request), client(request), now)
    return api.answer(shapes.ceremony(ceremony, handle, now), status=201)
