"""Token files over the API: `POST token-files` imports one, all of it or nothing, `DELETE token-files/<batch>` undoes it."""

from typing import Any
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone

from accounts.models import User
from desk import importing, previews
from desk.api import asked
from desk.gate import administrator
from desk.models import Batch, Part
from devices import seed_files, stock
from devices.judging import Existing
from devices.seed_files import LARGEST_UPLOAD, BadFile, BadRow, Secret, Why
from mfa_site import api
from mfa_site.client import client
from mfa_site.errors import Reason, Refused

SECRETS = ("key", "passphrase", "private_key")
FIELDS = {*SECRETS, "format", "existing"}
TOLD = 1_000  # refused rows in an answer; the count is always right


def importer(request: HttpRequest) -> User:
    """Who may bring files."""
    return administrator(request, "import_tokens")


def bring(request: HttpRequest) -> HttpResponse:
    """`POST token-files?dry_run=`: the whole file is in stock, or 422 names what is wrong; a dry run tells both."""
    user = importer(request)
    dry_run = asked(request, "dry_run")["dry_run"] or "false"
    if dry_run not in ("true", "false"):
        raise Refused(Reason.MALFORMED)
    given, existing = form(request)
    try:
        if dry_run == "true":
            return api.answer(told(tried(request, given, existing, user)))
        return api.answer(imported(request, given, existing, user))
    except BadFile as bad:
        row = BadRow(bad.number, "", bad.reason)
        if dry_run == "true":
            return api.answer({"batch": None, **counts(), **refusals([row])})
        raise refused(refusals([row])) from None


def form(request: HttpRequest) -> tuple[dict[str, str], Existing]:
    """The fields beside the file, each at most once; Refused UNSUPPORTED_MEDIA_TYPE, MALFORMED, UNKNOWN_FIELD."""
    if request.content_type != "multipart/form-data":
        raise Refused(Reason.UNSUPPORTED_MEDIA_TYPE)
    try:
        lists: list[tuple[str, list[Any]]] = [*request.POST.lists(), *request.FILES.lists()]
    except UnreadablePostError:
        raise Refused(Reason.MALFORMED) from None
    if {name for name, _values in lists} - FIELDS - {"file"}:
        raise Refused(Reason.UNKNOWN_FIELD, detail=f"This call takes file, {', '.join(sorted(FIELDS))}.")
    given = {name: str(request.POST.get(name, "")) for name in FIELDS}
    twice = any(len(values) > 1 for _name, values in lists) or sum(bool(given[name]) for name in SECRETS) > 1
    choice = given["existing"] or Existing.REFUSE
    if twice or "file" not in request.FILES or given["format"] not in ("", *seed_files.FORMATS) or choice not in list(Existing):
        raise Refused(Reason.MALFORMED)
    return given, Existing(choice)


def secret_of(given: dict[str, str]) -> Secret:
    """What opens an encrypted file."""
    return Secret(given["key"], given["passphrase"], given["private_key"].encode())


def tried(request: HttpRequest, given: dict[str, str], existing: Existing, user: User) -> stock.Report:
    """What would become of the file; nothing is kept."""
    file: Any = request.FILES["file"]
    found = given["format"] or seed_files.detect(file.read(seed_files.HEAD))
    on = importing.terms(user, existing, client(request), timezone.now(), lambda report: None)
    return stock.import_file(file, found, secret_of(given), on, dry_run=True, batch=uuid4(), largest=LARGEST_UPLOAD)


def told(report: stock.Report) -> dict[str, Any]:
    """The outcome of a dry run."""
    return {"batch": None, **counts(report), **refusals(report.refused)}


def imported(request: HttpRequest, given: dict[str, str], existing: Existing, user: User) -> dict[str, Any]:
    """The file is in stock; Refused REFUSED_ROWS, BadFile."""
    file: Any = request.FILES["file"]
    batch = previews.look(file, file.name or "", given["format"], secret_of(given), user, timezone.now())
    stops = stopping(batch, existing)
    if stops:
        importing.drop(batch)
        raise refused(stops)
    try:
        importing.begin(batch, existing, user, client(request), timezone.now(), queued=False)
    except Refused:
        importing.drop(batch)
        raise
    importing.run(batch.uuid)
    batch.refresh_from_db()
    if batch.state != Batch.State.DONE:
        raise BadFile(Why[batch.why]) if batch.why else refused(stopping(batch, existing))
    return {"batch": str(batch.uuid), **counts(batch), **refusals([])}


def stopping(batch: Batch, existing: Existing) -> dict[str, Any]:
    """The rows for which the batch cannot be imported, empty if there is none."""
    fates = [Part.Fate.REFUSED] if existing is Existing.SKIP else [Part.Fate.REFUSED, Part.Fate.EXISTING]
    known = {Existing.REFUSE: batch.existing, Existing.SKIP: 0, Existing.REPLACE: batch.unfit}[existing]
    if not batch.refused + known:
        return {}
    rows = previews.refusals(batch, fates, TOLD, unfit=existing is Existing.REPLACE)
    return {"refused": rows, "refused_count": batch.refused + known}


def refusals(rows: list[BadRow]) -> dict[str, Any]:
    """Rows that are refused, as an answer tells them."""
    told = [{"row": row.number, "serial": row.serial, "reason": row.reason.name.lower()} for row in rows[:TOLD]]
    return {"refused": told, "refused_count": len(rows)}


def counts(of: stock.Report | Batch | None = None) -> dict[str, int]:
    """What came in, was skipped, and took the place of another."""
    return {name: getattr(of, name, 0) for name in ("accepted", "skipped", "replaced")}


def refused(more: dict[str, Any]) -> Refused:
    """Nothing was kept."""
    return Refused(Reason.REFUSED_ROWS, more=more)


def undo(request: HttpRequest, batch: UUID) -> HttpResponse:
    """`DELETE token-files/<batch>`: 204, no token of it is in stock any more; 409 where somebody has or had one."""
    user, now = importer(request), timezone.now()
    found = Batch.seen_by(user.uuid, now).filter(uuid=batch).first()
    if found is None:
        raise Refused(Reason.NOT_FOUND)
    importing.undo(found, client(request), now, actor=user.uuid)
    return api.empty()
