"""`/demo/`: the demo people's current codes, so that trying the service needs no phone. Only with DEBUG or DEMO."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.demo import PEOPLE, password_of
from accounts.models import User
from devices import oath, sending
from devices.kinds import totp
from devices.lifecycle import State
from devices.models import SENT, Kind


@require_safe
def codes(request: HttpRequest) -> HttpResponse:
    """Each demo person with password and current codes."""
    if not settings.LOCAL:
        raise Http404
    now = timezone.now()
    people = []
    for user in User.objects.filter(username__in=PEOPLE).order_by("id"):
        rows = user.devices.filter(state=State.ACTIVE).order_by("id")
        codes = [(row, totp.code_now(row, now)) for row in rows if row.kind == Kind.TOTP]
        codes += [(row, oath.at(row, row.counter + 1)) for row in rows if row.kind == Kind.HOTP]
        messages = [(row, sending.text_of(row, row.sent) if row.sent else "") for row in rows if row.kind in SENT]
        keys = [row for row in rows if row.kind == Kind.FIDO2]
        person = {"user": user, "password": password_of(user.username), "codes": codes, "keys": keys, "messages": messages}
        people.append(person)
    left = 30 - int(now.timestamp()) % 30
    response = render(request, "accounts/demo.html", {"people": people, "seconds_left": left})
    response["Refresh"] = str(left)
    return response
