"""Taking the audit out: who does so, and with which filter, is an event itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from accounts.models import User
from audit import export, seals, search
from audit.events import record
from audit.search import Sought
from mfa_site import keyring
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

MOST = 100_000  # events of one export
LOOKS = 100  # two million events looked at, for what no index leads to
TYPES = {
    "csv": ("text/csv; charset=utf-8", "csv"),
    "jsonl": ("application/jsonl", "jsonl"),
    "signed": ("application/zip", "zip"),
}


@dataclass(frozen=True)
class Exported:
    """A file that is made while it is sent."""

    name: str
    media_type: str
    content: Iterator[bytes]


def take_out(sought: Sought, form: str, user: User, client: Client, now: datetime) -> Exported:
    """The events in that form (TYPES), and an event that says so; Refused MALFORMED for more than MOST or another form."""
    if form not in TYPES:
        raise Refused(Reason.MALFORMED)
    sought = search.until_now(sought, now)
    count, key = search.how_many(sought, MOST, LOOKS), seals.signing_key()
    given = sought.given
    about = {"form": form, "count": count, "filter": {name: value for name, value in given.items() if name != "address"}}
    if sought.address:  # personal data, which could never be erased from here
        about["address"] = keyring.mac(sought.address.encode(), "address")
    record("audit_exported", client=client, actor=user.uuid, **about)  # type: ignore[arg-type]
    events = search.every(sought)
    said: dict[str, Any] = {"service": settings.BASE_URL, "filter": given, "exported_at": export.moment(now)}
    said["by"] = {"uuid": str(user.uuid), "username": user.username}
    media_type, ending = TYPES[form]
    content = (
        export.signed(events, said, key)
        if form == "signed"
        else export.as_csv(events)
        if form == "csv"
        else export.as_lines(events)
    )
    return Exported(f"audit-{now:%Y%m%d-%H%M%S}.{ending}", media_type, content)
