"""The counts behind `mfa_site.limits`, on the database or on Redis: claimed in one statement, settled in another.

A count is claimed before the thing counted is judged. The claim that reaches `most` holds its count for HOLD: others find
none to claim until it is settled or the hold is over, so that a burst is worth no more than a series (docs/decisions/0003).
Settling gives claims back or blocks the count. All times are milliseconds since 1970.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from mfa_site.errors import StoreAway
from mfa_site.models import Counter

HOLD = 3_000  # a password is judged in far less; after it the next may try, whatever became of the one that held
REDIS_PATIENCE = 1.0  # seconds to connect, and for an answer; it sits next door
ALL = 1_000_000_000  # given back: whatever was counted


@dataclass(frozen=True)
class Limit:
    """What to count: under which key, up to which number, in which time (ms)."""

    key: str
    most: int
    within: int


@dataclass(frozen=True)
class Claim:
    """What was counted: this was the `number`th; the count begins anew at `expires_at`."""

    limit: Limit
    number: int
    expires_at: int


@dataclass(frozen=True)
class Settled:
    """How a claim ends: `less` of it is given back; blocked until then (0: not at all), unless fewer than `most` are left."""

    key: str
    less: int
    blocked_until: int = 0


@dataclass(frozen=True)
class Busy:
    """Nothing was counted: blocked until then, or 0 where another attempt holds a count and will be judged soon."""

    blocked_until: int


class Store(Protocol):
    """Where the counts are. StoreAway, or the database's own errors, when it is away."""

    def claim(self, limits: Sequence[Limit], now: int, hold: int = HOLD) -> list[Claim] | Busy:
        """All of them are counted, or none."""

    def settle(self, settled: Sequence[Settled], now: int) -> None:
        """Each is as it says, and held no more."""

    def ping(self) -> None:
        """It answers."""


# Rows in the order of their keys in both, or parallel ones would lock each other out. `most` carries `less` in the second.
INSERT = "INSERT INTO mfa_site_counter AS c (key, most, count, held_until, blocked_until, expires_at) "
CLAIM = """
SELECT * FROM (VALUES {rows}) AS v WHERE NOT EXISTS (
  SELECT 1 FROM mfa_site_counter
  WHERE key IN ({keys}) AND expires_at > %(now)s AND (held_until > %(now)s OR blocked_until > %(now)s)
) ON CONFLICT (key) DO UPDATE SET
  most = excluded.most,
  count = CASE WHEN c.expires_at <= %(now)s THEN 1 ELSE c.count + 1 END,
  held_until = CASE WHEN excluded.most <= 1 OR c.expires_at > %(now)s AND c.count + 1 >= excluded.most THEN %(hold)s ELSE 0 END,
  blocked_until = 0,
  expires_at = CASE WHEN c.expires_at <= %(now)s THEN excluded.expires_at ELSE c.expires_at END
WHERE c.expires_at <= %(now)s OR c.held_until <= %(now)s AND c.blocked_until <= %(now)s
RETURNING key, count, expires_at
"""
SETTLE = """
VALUES {rows} ON CONFLICT (key) DO UPDATE SET
  count = CASE WHEN c.count > excluded.most THEN c.count - excluded.most ELSE 0 END,
  held_until = 0,
  blocked_until = CASE WHEN c.count < c.most + excluded.most THEN 0
    WHEN excluded.blocked_until > c.blocked_until THEN excluded.blocked_until ELSE c.blocked_until END
"""


class Database:
    """Rows of `Counter`; several statements at once are each other's queue."""

    def claim(self, limits: Sequence[Limit], now: int, hold: int = HOLD) -> list[Claim] | Busy:
        keys = [limit.key for limit in limits]
        rows = [(one.key, one.most, 1, now + hold if one.most <= 1 else 0, 0, now + one.within) for one in limits]
        found = {key: (count, end) for key, count, end in _execute(CLAIM, sorted(rows), keys, {"now": now, "hold": now + hold})}
        if len(found) == len(limits):
            return [Claim(one, *found[one.key]) for one in limits]
        if found:  # one of them was taken between the look at all and the change of each
            self.settle([Settled(key, 1) for key in found], now)
        ends = Counter.objects.filter(key__in=keys, expires_at__gt=now).values_list("blocked_until", flat=True)
        return Busy(max((end for end in ends if end > now), default=0))

    def settle(self, settled: Sequence[Settled], now: int) -> None:
        rows = [(one.key, one.less, 0, 0, one.blocked_until, now) for one in settled]
        _execute(SETTLE, sorted(rows), [], {"now": now})

    def ping(self) -> None:
        connection.ensure_connection()


def _execute(statement: str, rows: list[tuple[Any, ...]], keys: list[str], times: dict[str, int]) -> list[Any]:
    values = {f"v{r}_{c}": value for r, row in enumerate(rows) for c, value in enumerate(row)}
    marks = ", ".join("(" + ", ".join(f"%(v{r}_{c})s" for c in range(len(row))) + ")" for r, row in enumerate(rows))
    sql = INSERT + statement.format(rows=marks, keys=", ".join(f"%(v{r}_0)s" for r in range(len(keys))))
    with connection.cursor() as cursor:
        cursor.execute(sql, {**values, **times})
        return cursor.fetchall() if "RETURNING" in sql else []


LUA_CLAIM = """
local now, hold, blocked, busy = tonumber(ARGV[1]), tonumber(ARGV[2]), 0, false
for _, key in ipairs(KEYS) do
  local held, till, over = unpack(redis.call('HMGET', key, 'held_until', 'blocked_until', 'expires_at'))
  if over and tonumber(over) > now then
    busy = busy or tonumber(held) > now or tonumber(till) > now
    if tonumber(till) > now then blocked = math.max(blocked, tonumber(till)) end
  end
end
if busy then return {0, string.format('%.0f', blocked)} end
local told = {1}
for i, key in ipairs(KEYS) do
  local most, within = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local count, over = unpack(redis.call('HMGET', key, 'count', 'expires_at'))
  if over and tonumber(over) > now then count, over = count + 1, tonumber(over) else count, over = 1, now + within end
  local held = 0
  if count >= most then held = now + hold end
  over = string.format('%.0f', over)
  redis.call('HSET', key, 'most', most, 'count', count, 'held_until', string.format('%.0f', held), 'blocked_until', 0,
    'expires_at', over)
  redis.call('PEXPIREAT', key, over)
  table.insert(told, count)
  table.insert(told, over)
end
return told
"""
LUA_SETTLE = """
for i, key in ipairs(KEYS) do
  local most, count, till = unpack(redis.call('HMGET', key, 'most', 'count', 'blocked_until'))
  if count then
    local left = math.max(0, count - tonumber(ARGV[2 * i - 1]))
    if left < tonumber(most) then till = 0 else till = math.max(tonumber(till), tonumber(ARGV[2 * i])) end
    redis.call('HSET', key, 'count', left, 'held_until', 0, 'blocked_until', string.format('%.0f', till))
  end
end
return 0
"""


class Redis:
    """A hash for each count, which goes by itself; a script runs alone."""

    def __init__(self, url: str) -> None:
        import redis  # a heavy import, for those who use it
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        patience = {"socket_timeout": REDIS_PATIENCE, "socket_connect_timeout": REDIS_PATIENCE}
        # Never again by itself: a claim that may have been carried out would count twice. A dead connection is noticed before.
        self.client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **patience)
        self.errors = redis.RedisError
        self.scripts = {lua: self.client.register_script(lua) for lua in (LUA_CLAIM, LUA_SETTLE)}

    def claim(self, limits: Sequence[Limit], now: int, hold: int = HOLD) -> list[Claim] | Busy:
        numbers = [number for one in limits for number in (one.most, one.within)]
        taken, *told = self._run(LUA_CLAIM, [one.key for one in limits], [now, hold, *numbers])
        if not taken:
            return Busy(int(told[0]))
        return [Claim(one, int(told[2 * i]), int(told[2 * i + 1])) for i, one in enumerate(limits)]

    def settle(self, settled: Sequence[Settled], now: int) -> None:
        self._run(LUA_SETTLE, [one.key for one in settled], [n for one in settled for n in (one.less, one.blocked_until)])

    def ping(self) -> None:
        try:
            self.client.ping()
        except self.errors as error:
            raise StoreAway(type(error).__name__) from error

    def _run(self, lua: str, keys: list[str], arguments: list[int]) -> Any:
        try:
            return self.scripts[lua](keys=[f"mfa_site:{key}" for key in keys], args=arguments)
        except self.errors as error:
            raise StoreAway(type(error).__name__) from error


@functools.lru_cache(maxsize=4)
def _redis(url: str) -> Redis:
    return Redis(url)


def store() -> Store:
    """The store of this service: Redis where MFA_SITE_CACHE_URL names one, else the database."""
    return _redis(settings.CACHE_URL) if settings.CACHE_URL else Database()


def over(now: datetime) -> QuerySet[Counter]:
    """The counts in the database that are over; Redis forgets by itself."""
    return Counter.objects.filter(expires_at__lte=int(now.timestamp() * 1000))
