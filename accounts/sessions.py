"""Django's session interface over `BrowserSession` rows.

A row is made only by a right password (to remember the sign-in), by a right code of an invitation and by a finished
sign-in; looking at a page never makes one. The value of the cookie changes at each, and every 15 minutes of use
(docs/decisions/0004).
"""

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.sessions.backends.base import SessionBase
from django.db.models import Case, F, Value, When
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import BrowserSession
from accounts.models.browser_session import BEFORE_SIGN_IN, LONGEST
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused
from mfa_site.keyring import mac, token_hash

if TYPE_CHECKING:
    from accounts.signin import Passed

MOST_SIGN_INS = 5  # tabs in which one browser may have a sign-in in progress


def session_of(request: HttpRequest) -> "SessionStore":
    """`request.session`, typed."""
    session = request.session
    assert isinstance(session, SessionStore)
    return session


def next_value(sid: UUID, value: str) -> str:
    """The value that follows this one in the session: everybody who comes with the one is handed the same other."""
    return mac(f"{sid}:{value}".encode(), "session-renewal").partition(".")[2]


class SessionStore(SessionBase):
    """The session of one request. `row` is None until the browser has one."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._row: BrowserSession | None = None
        self.new_value: str | None = None
        self.is_over = False
        self._made_here = ""  # the hash of the value by which this very request renewed the session

    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = self._get_session()  # type: ignore[attr-defined]  # Django's, not in the stubs
        return data

    @property
    def row(self) -> BrowserSession | None:
        """The browser's row, alive; read once."""
        self._data()
        return self._row

    def load(self) -> dict[str, Any]:
        if self.session_key:
            self._row = BrowserSession.alive(token_hash(self.session_key), timezone.now())
        return dict(self._row.data) if self._row else {}

    def save(self, must_create: bool = False) -> None:
        """What changed in the data is in the row; without a row there is nothing to keep it in."""
        if self.row is not None:
            BrowserSession.objects.filter(pk=self.row.pk, ended_at=None).update(data=self._data())

    def used(self, now: datetime) -> None:
        """A signed-in browser was here: seen, its value renewed when that is due.

        The newer value goes out with every answer to the value before it until it was used once, so that a lost answer
        costs nothing. Of parallel renewals one wins, and against an end none does.
        """
        row, value = self.row, self.session_key or ""
        value_hash = token_hash(value)
        if row is not None and row.is_due(value_hash, now):
            if row.renew(token_hash(next_value(row.uuid, value)), now):
                self._made_here = row.value_hash
            else:
                row = self._row = BrowserSession.alive(value_hash, now)
        if row is None:
            return
        if row.previous_hash == value_hash and row.previous_until is None:
            self.new_value = next_value(row.uuid, value)
        row.seen(value_hash, now)

    def is_dead(self) -> bool:
        """Whether the cookie's value stands for nothing any more, and no newer one can be on its way."""
        if not self.session_key or self.row is not None:
            return False
        return not BrowserSession.just_replaced(token_hash(self.session_key), timezone.now())

    # ---- what a sign-in does with it ---------------------------------------------------------------------------

    def remember(self, sign_in: UUID, client: Client, now: datetime) -> None:
        """This browser may answer the sign-in; its cookie has a new value."""
        self.keep(client, now, sign_ins=[*self.get("sign_ins", []), str(sign_in)][-MOST_SIGN_INS:])

    def keep(self, client: Client, now: datetime, **more: Any) -> None:
        """The browser has a row that keeps this for it; its cookie has a new value."""
        self.new_value = secrets.token_urlsafe(32)
        row = self.row
        data = {**self._data(), **more}
        columns = {"value_hash": token_hash(self.new_value), "data": data, "renewed_at": now}
        if row is None:
            self._row = BrowserSession.objects.create(
                address=client.address,
                user_agent=client.user_agent,
                created_at=now,
                last_seen_at=now,
                expires_at=now + BEFORE_SIGN_IN,
                **columns,
            )
        else:
            expires_at = row.expires_at if row.person_id else now + BEFORE_SIGN_IN
            replaced = {"previous_hash": token_hash(self.session_key or ""), "previous_until": now}
            BrowserSession.objects.filter(pk=row.pk).update(expires_at=expires_at, **replaced, **columns)
        self._session_cache = data

    def began(self, sign_in: UUID) -> bool:
        """Whether this browser began the sign-in."""
        return str(sign_in) in self.get("sign_ins", [])

    def sign_in(self, passed: "Passed", client: Client, now: datetime) -> BrowserSession:
        """A new session of this person; whatever the browser had before has ended, its data is dropped."""
        self.end("signed_in_again", now)
        self.new_value, self.is_over = secrets.token_urlsafe(32), False
        self._row = BrowserSession.objects.create(
            value_hash=token_hash(self.new_value),
            uuid=passed.sid,
            person=passed.user,
            device=passed.device,
            amr=passed.amr,
            acr=passed.acr,
            auth_time=now,
            address=client.address,
            user_agent=client.user_agent,
            created_at=now,
            last_seen_at=now,
            renewed_at=now,
            expires_at=now + LONGEST,
        )
        self._session_cache = {}
        return self._row

    def step_up(self, passed: "Passed", now: datetime) -> BrowserSession:
        """The same session under a new value, with what was proven now; every value before is dead at once.

        Refused SIGN_IN_OVER if it ended meanwhile. Its data and how long it lives at most do not change.
        """
        return self.rotate(passed.sid, now, device=passed.device, amr=passed.amr, acr=passed.acr, auth_time=now)

    def rotate(self, sid: UUID, now: datetime, **proven: Any) -> BrowserSession:
        """The session of this sid under a new value; every value before is dead at once. Refused SIGN_IN_OVER if it ended.

        The one before it is what another request may have handed the browser meanwhile, so that its cookie is not deleted.
        """
        row, new_value = self.row, secrets.token_urlsafe(32)
        unsent = When(value_hash=self._made_here, then=Value(token_hash(self.session_key or "")))
        columns: dict[str, Any] = {
            "value_hash": token_hash(new_value),
            "previous_until": now,
            "renewed_at": now,
            "last_seen_at": now,
            **proven,
        }
        alive = BrowserSession.objects.filter(uuid=sid, ended_at=None, expires_at__gt=now)
        if row is None or alive.update(previous_hash=Case(unsent, default=F("value_hash")), **columns) != 1:
            raise Refused(Reason.SIGN_IN_OVER)
        for name, value in columns.items():
            setattr(row, name, value)
        self.new_value = new_value
        return row

    def end(self, reason: str, now: datetime) -> None:
        """The row is ended, or gone where it had no person; the cookie goes with the response."""
        row = self.row
        if row is not None and row.person_id:
            BrowserSession.objects.filter(pk=row.pk, ended_at=None).update(ended_at=now, ended_for=reason, data={})
        elif row is not None:
            row.delete()
        self._row, self._session_cache, self.is_over, self.modified = None, {}, True, False
