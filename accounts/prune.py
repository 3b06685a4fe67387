"""Forgetting what is over: ceremonies, sessions, token families, enrolments never confirmed, counts. Audit events stay."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from accounts.models import BrowserSession, PasswordReset, SignIn
from devices.models import PENDING, UNCONFIRMED_LIFE, Device
from grants import refresh
from mfa_site import counters

KEPT = timedelta(days=1)  # after its end, for whoever asks what just happened
BATCH = 100  # rows of a kind in one transaction: a family may have hundreds of tokens, and on SQLite everybody waits
EVERY = timedelta(minutes=10)  # between two looks when nothing was left
_rest: dict[str, datetime] = {}

Over = Callable[[datetime], dict[str, QuerySet[Any]]]
MORE: list[Over] = []  # of apps that this one knows nothing of


def over(now: datetime) -> dict[str, QuerySet[Any]]:
    """What may be forgotten, by name. The tokens of a family, spent ones too, stay and go with it."""
    before = now - KEPT
    own = {
        "unconfirmed_enrolments": Device.objects.filter(PENDING, created_at__lt=now - UNCONFIRMED_LIFE),
        "sign_ins": SignIn.objects.filter(expires_at__lt=before),
        "browser_sessions": BrowserSession.objects.filter(Q(ended_at__lt=before) | Q(expires_at__lt=before)),
        "password_resets": PasswordReset.objects.filter(expires_at__lt=before),
        "refresh_families": refresh.over(before),
        "queue": DBTaskResult.objects.exclude(status=TaskResultStatus.READY).filter(enqueued_at__lt=before),
        "counters": counters.over(now),
    }
    for others in MORE:
        own |= others(now)
    return own


def everything(now: datetime) -> dict[str, int]:
    """All that is over is gone, a batch at a time; how many rows of each."""
    gone = dict.fromkeys(over(now), 0)
    for name, which in over(now).items():
        while batch := one_batch(which):
            gone[name] += batch
    return gone


def a_little(now: datetime) -> int:
    """One batch of each is gone; how many rows. A chore of the worker, which looks again after EVERY when none was left."""
    if now < _rest.get("until", now):
        return 0
    gone = sum(one_batch(which) for which in over(now).values())
    if not gone:
        _rest["until"] = now + EVERY
    return gone


def one_batch(which: QuerySet[Any]) -> int:
    """At most BATCH of the rows are gone; how many. Those that another transaction has locked are left to it.

    Deleted by the keys of locked rows and no other condition: Django selects first and deletes by key then, which would
    hit a row that changed between the two.
    """
    with transaction.atomic():
        locked = which.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True)
        keys = list(locked[:BATCH])
        which.model._default_manager.filter(pk__in=keys).delete()
    return len(keys)
