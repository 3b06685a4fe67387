"""How often a password may be tried, and other things that may be done only so often: the numbers, each with its reason.

Everything is counted before it is judged, in a statement of its own (`mfa_site.counters`), and what turns out to be no
failure is given back. Keys are MACs in one form: the store tells neither a name nor an address, nor whether there is
such an account. When the store is away, nothing is judged.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import Error
from django.utils import timezone

from mfa_site import keyring
from mfa_site.client import Client
from mfa_site.counters import ALL, Busy, Claim, Limit, Settled, store
from mfa_site.errors import Reason, Refused, StoreAway

SECOND, HOUR = 1_000, 3_600_000
DELAY_AT = 5  # wrong passwords of one account from one network; typing errors rarely come five at a time
DELAY_FIRST = 30 * SECOND  # NIST SP 800-63B-4 3.2.2 suggests 30 s up to an hour
DELAY_LONGEST = 15 * 60 * SECOND  # capped, so that nobody can lock a person out for long
DELAYS_WITHIN = 24 * HOUR  # then the count begins anew: about a hundred guesses a day at most
ACCOUNT_MOST, ACCOUNT_WITHIN = 100, HOUR  # from everywhere; NIST's ceiling of failures in a row. Then only known browsers may
ADDRESS_MOST, ADDRESS_WITHIN = 60, 10 * 60 * SECOND  # of all accounts; an office behind one address mistypes less
WAIT, LONGEST_WAIT = 0.05, 10.0  # seconds: for an attempt that is being judged, in all


@dataclass(frozen=True)
class Who:
    """Whose password is tried: `account` tells a person, or the normalised name of nobody, `browser` a known one's id."""

    account: str
    browser: str = ""


def _key(*parts: str) -> str:
    return keyring.mac("\0".join(parts).encode(), "limits")


def _limits(who: Who, network: str) -> list[Limit]:
    """The (account, network) pair first; a known browser stands for its network and for nothing else."""
    if who.browser:
        return [Limit(_key("browser", who.account, who.browser), DELAY_AT, DELAYS_WITHIN)]
    return [
        Limit(_key("pair", who.account, network), DELAY_AT, DELAYS_WITHIN),
        Limit(_key("account", who.account), ACCOUNT_MOST, ACCOUNT_WITHIN),
        Limit(_key("address", network), ADDRESS_MOST, ADDRESS_WITHIN),
    ]


@contextlib.contextmanager
def attempt(who: Who, client: Client, now: datetime) -> Iterator[None]:
    """Around judging one password, which raises Refused BAD_CREDENTIALS for a wrong one.

    Refused TOO_MANY_ATTEMPTS before it is judged: `retry_after` seconds, `until` when, `known` whether this browser is.
    A right one ends the delays of its pair; whatever else goes wrong counts nothing.
    """
    limits = _limits(who, client.network)
    claims, pair = _claim(limits, bool(who.browser), now), limits[0].key
    try:
        yield
    except BaseException as error:
        if isinstance(error, Refused) and error.reason is Reason.BAD_CREDENTIALS:
            _after_wrong(claims, pair, _ms(timezone.now()))
        else:
            with contextlib.suppress(Error, StoreAway):  # it stays counted, and the first fault is reported
                store().settle([Settled(claim.limit.key, 1) for claim in claims], _ms(now))
        raise
    store().settle([Settled(one.key, ALL if one.key == pair else 1) for one in limits], _ms(now))


def _claim(limits: list[Limit], known: bool, now: datetime) -> list[Claim]:
    """While the attempt that decides about a delay is being judged, this one waits: its outcome decides about this one."""
    patience = time.monotonic() + LONGEST_WAIT
    while isinstance(claimed := store().claim(limits, _ms(now)), Busy):
        if claimed.blocked_until or time.monotonic() > patience:
            raise _refused(claimed.blocked_until or _ms(now) + SECOND, now, known=known)
        time.sleep(WAIT)
        now = timezone.now()
    return claimed


def _after_wrong(claims: list[Claim], pair: str, now: int) -> None:
    reached = [claim for claim in claims if claim.number >= claim.limit.most]
    if reached:
        ends = [now + delay(one.number) if one.limit.key == pair else one.expires_at for one in reached]
        store().settle([Settled(one.limit.key, 0, end) for one, end in zip(reached, ends, strict=True)], now)


def delay(number: int) -> int:
    """Milliseconds to wait after this many wrong passwords in a row: none before the fifth, doubling up to the longest."""
    return 0 if number < DELAY_AT else min(DELAY_FIRST * 2 ** min(number - DELAY_AT, 10), DELAY_LONGEST)


def hit(name: str, key: str, most: int, within: timedelta, now: datetime) -> int:
    """One more of what may be done `most` times `within` a time is counted, and which it is comes back; Refused
    TOO_MANY_ATTEMPTS where that is too many.

    `key` tells whose it is; the store sees neither. What is refused counts too, but moves no end.
    """
    limit = Limit(_key(name, key), most, int(within.total_seconds() * 1000))
    claimed = store().claim([limit], _ms(now), hold=0)
    if isinstance(claimed, Busy):  # only where the same key is used by an attempt, which it is not
        raise _refused(claimed.blocked_until or _ms(now) + SECOND, now)
    if claimed[0].number > most:
        raise _refused(claimed[0].expires_at, now)
    return claimed[0].number


def give_back(name: str, key: str, now: datetime) -> None:
    """One less of what `hit` has counted."""
    store().settle([Settled(_key(name, key), 1)], _ms(now))


def _refused(end: int, now: datetime, **facts: bool) -> Refused:
    seconds = max(1, -((_ms(now) - end) // SECOND))
    return Refused(Reason.TOO_MANY_ATTEMPTS, retry_after=seconds, until=datetime.fromtimestamp(end / 1000, UTC), **facts)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
