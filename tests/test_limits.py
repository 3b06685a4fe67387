"""Password limits: the numbers, bursts, known browsers, and a store that goes away."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from mfa_site import counters, limits
from mfa_site.client import Client as Caller
from mfa_site.counters import Busy, Claim, Limit, Settled
from mfa_site.errors import Reason, Refused
from mfa_site.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

NOW = 1_800_000_000_000


def claimed(*wanted: Limit, now: int = NOW) -> list[int] | Busy:
    told = counters.store().claim(wanted, now)
    return told if isinstance(told, Busy) else [claim.number for claim in told]


def test_claims_are_counted_until_their_end_all_or_none() -> None:
    one, two = Limit("b", 10, 1000), Limit("a", 2, 5000)
    assert claimed(one) == [1]
    assert claimed(one, two) == [2, 1]
    assert claimed(one, two) == [3, 2], "the second of two holds"
    assert claimed(one, two) == Busy(0), "and nobody is counted meanwhile"
    assert claimed(one) == [4]
    assert claimed(one, two, now=NOW + 1000) == Busy(0)
    assert claimed(one, now=NOW + 1000) == [1], "begun anew"
    assert claimed(two, now=NOW + counters.HOLD) == [3], "a hold is over by itself"


def test_what_is_settled_is_given_back_or_blocked() -> None:
    limit, store = Limit("a", 3, 60_000), counters.store()
    assert [claimed(limit) for _ in range(3)] == [[1], [2], [3]]
    store.settle([Settled("a", 1)], NOW)
    assert claimed(limit) == [3]
    store.settle([Settled("a", 0, NOW + 9000)], NOW)
    assert claimed(limit) == Busy(NOW + 9000)
    assert claimed(limit, now=NOW + 9000) == [4]
    store.settle([Settled("a", counters.ALL)], NOW)
    assert claimed(limit) == [1]
    store.settle([Settled("a", 0, NOW + 9000), Settled("unheard", 1)], NOW)
    assert claimed(limit) == [2], "a block for a count that was cleared meanwhile"
    assert claimed(Limit("unheard", 3, 9)) == [1]


def test_a_claim_that_comes_between_is_taken_back() -> None:
    free, held = Limit("a", 9, 60_000), Limit("b", 1, 60_000)
    store = counters.store()
    assert isinstance(store.claim([held], NOW), list)
    for _ in range(3):
        assert store.claim([free, held], NOW) == Busy(0)
    assert store.claim([free], NOW) == [Claim(free, 1, NOW + 60_000)]


def test_old_rows_go() -> None:
    store = counters.Database()
    for number in range(counters.BATCH + 2):
        store.claim([Limit(f"old{number}", 9, 1000)], NOW)
    store.claim([Limit("new", 9, 3000)], NOW)
    now = datetime.fromtimestamp(NOW / 1000 + 2, tz=timezone.get_current_timezone())
    assert [counters.forget_old(now) for _ in range(3)] == [counters.BATCH, 2, 0]
    assert list(Counter.objects.values_list("key", flat=True)) == ["new"]


def test_anything_may_be_limited() -> None:
    now = timezone.now()
    for _ in range(3):
        limits.hit("letters", "somebody", 3, timedelta(hours=1), now)
    limits.hit("letters", "somebody else", 3, timedelta(hours=1), now)
    for _ in range(2):
        with pytest.raises(Refused) as told:
            limits.hit("letters", "somebody", 3, timedelta(hours=1), now + timedelta(minutes=50))
        assert told.value.reason is Reason.TOO_MANY_ATTEMPTS
        assert told.value.retry_after == 600
    limits.hit("letters", "somebody", 3, timedelta(hours=1), now + timedelta(hours=1))


@pytest.mark.parametrize(("number", "seconds"), [(1, 0), (4, 0), (5, 30), (6, 60), (7, 120), (9, 480), (10, 900), (500, 900)])
def test_delays_double_up_to_a_quarter_of_an_hour(number: int, seconds: int) -> None:
    assert limits.delay(number) == seconds * 1000


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert Caller(address, "", "").network == network
