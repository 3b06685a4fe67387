"""Which people have which second factors, as conditions on `User`: for lists, and for counting without loading anybody."""

from datetime import datetime, timedelta

from django.db.models import Count, Q, QuerySet

from devices import kinds
from devices.lifecycle import State
from devices.models import DISABLE_AT, IN_USE, Device, Kind

UNUSED_FOR = timedelta(days=90)
# Those that are factors of their own, not a way in while one is missing.
OWN = [kind for kind in Kind.values if not kinds.module(kind).STANDS_IN]


def factors() -> QuerySet[Device]:
    """Every device in use that is somebody's second factor; codes that stand in are none."""
    return Device.objects.filter(IN_USE, kind__in=OWN, user__isnull=False)


def having(number: int) -> Q:
    """People with exactly this many second factors, 0 or 1."""
    if number == 0:
        return ~Q(pk__in=factors().values("user"))  # each device read once: SQLite takes six times as long for NOT EXISTS
    counted = factors().order_by().values("user").annotate(number=Count("pk")).filter(number=number)
    return Q(pk__in=counted.values("user"))


def locked(now: datetime) -> Q:
    """People of whom a device rests after wrong answers, or was switched off by them."""
    stopped = Q(failures__gte=DISABLE_AT) | Q(paused_until__gt=now)
    return Q(pk__in=Device.objects.filter(stopped, user__isnull=False).exclude(state=State.RETIRED).values("user"))


def unused(now: datetime) -> Q:
    """People who are there for 90 days and used no device in them."""
    since = now - UNUSED_FOR
    used = Device.objects.filter(last_used_at__gte=since, user__isnull=False)
    return Q(~Q(pk__in=used.values("user")), date_joined__lt=since)
