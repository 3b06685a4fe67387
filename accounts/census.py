"""Counting who has what: once an hour, and the last count of a day stays.

A hundred thousand people are not counted for every look at the dashboard, and yesterday could not be counted today.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta

from django.db.models import Count as CountOf
from django.db.models import Q

from accounts.models import Count, User
from devices.lifecycle import State
from devices.models import IN_USE, Device, Kind

EVERY = timedelta(hours=1)
ENDS = (("over", 0), ("30", 30), ("90", 90), ("365", 365))  # days until which validity ends, each behind the one before
LATER = "later"
SPARE = (Kind.RECOVERY, Kind.TEMPORARY)  # no factors of their own: codes for when a device is not at hand
WHAT = {  # what is counted, and of what
    "devices": tuple(kind.value for kind in Kind),  # in use, by kind
    "people": ("0", "1", "2"),  # active people by devices in use: none, one, more
    "stock": tuple(kind.value for kind in Kind if kind not in SPARE),  # tokens that wait, by kind
    "ends": (*(name for name, _days in ENDS), LATER),  # devices in use or in stock with an end, by when that is
    "lost": ("lost", "suspended"),
}
_rest: dict[str, datetime] = {}


def take(now: datetime) -> int:
    """Today's numbers are those of now, if they were not counted within the hour; how many. A chore of the worker."""
    if now < _rest.get("until", now):
        return 0
    _rest["until"] = now + timedelta(minutes=1)
    if Count.objects.filter(counted_at__gt=now - EVERY, counted_at__lte=now, day=now.astimezone(UTC).date()).exists():
        return 0
    return count(now)


def count(now: datetime) -> int:
    """Today's numbers are those of now; how many numbers that are. Of two workers each writes the same."""
    found = {"devices": by_kind(IN_USE), "people": people(), "stock": by_kind(Q(state=State.IN_STOCK)), "ends": ends(now)}
    states = Device.objects.filter(state__in=WHAT["lost"]).values_list("state").annotate(n=CountOf("id"))
    found["lost"] = Counter(dict(states))
    day = now.astimezone(UTC).date()
    rows = [
        Count(day=day, what=what, of=of, number=found[what][of], counted_at=now) for what, names in WHAT.items() for of in names
    ]
    fields = ["number", "counted_at"]
    Count.objects.bulk_create(rows, update_conflicts=True, unique_fields=["day", "what", "of"], update_fields=fields)
    return len(rows)


def by_kind(which: Q) -> Counter[str]:
    """How many devices of these there are of each kind; a set of recovery codes is one."""
    return Counter(dict(Device.objects.filter(which).order_by().values_list("kind").annotate(n=CountOf("id"))))


def people() -> Counter[str]:
    """How many active people have no device in use, one, or more; spare codes are none."""
    held = Device.objects.filter(IN_USE, user__is_active=True).exclude(kind__in=SPARE).order_by()
    each = held.values("user").annotate(n=CountOf("id"))
    found = each.aggregate(one=CountOf("user", filter=Q(n=1)), more=CountOf("user", filter=Q(n__gte=2)))
    everybody = User.objects.filter(is_active=True).count()
    return Counter({"0": max(everybody - found["one"] - found["more"], 0), "1": found["one"], "2": found["more"]})


def ends(now: datetime) -> Counter[str]:
    """How many devices are at their end already or will be soon; a temporary code is none of them."""
    with_end = Device.objects.filter(IN_USE | Q(state=State.IN_STOCK), valid_until__isnull=False)
    with_end, found, before = with_end.exclude(kind=Kind.TEMPORARY).order_by(), Counter[str](), Q()
    asked = {}
    for name, days in ENDS:
        until = Q(valid_until__lte=now + timedelta(days=days))
        asked[name], before = CountOf("id", filter=until & ~before if before else until), until
    told = with_end.aggregate(all=CountOf("id"), **{f"in_{name}": what for name, what in asked.items()})
    for name, _days in ENDS:
        found[name] = told[f"in_{name}"]
    found[LATER] = told["all"] - sum(found.values())
    return found
