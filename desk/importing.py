"""A batch that was looked at is imported, by the worker or within a request, and undone while nobody has a token of it."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django_tasks import task

from accounts.models import User
from audit.events import OPERATOR, record
from desk import previews
from desk.approvals import approved
from desk.gate import may
from desk.models import Batch, Part
from desk.owners import People, hander
from devices import stock
from devices.judging import Existing
from devices.seed_files import BadFile, BadRow, Row, Why
from devices.stock import Report, Terms
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused

log = logging.getLogger(__name__)

WAITS = timedelta(hours=1)  # for a worker; then it has to be uploaded again
BEAT = timedelta(minutes=10)  # since the worker was heard of; then it is taken for dead
FAILED_FOR = timedelta(days=1)  # how long it can be read why an import failed

Done = Callable[[Report], None]


def terms(user: User | None, existing: Existing, client: Client, now: datetime, done: Done) -> Terms:
    """On which terms this administrator imports; None: the operator."""
    actor = user.uuid if user else OPERATOR
    return Terms(People(user).find, hander(client, actor), now, existing, actor, client, done)


def noted(file_name: str, by: UUID, now: datetime) -> Done:
    """Notes the import of a file that nobody looked at before."""

    def note(report: Report) -> None:
        counts = {name: getattr(report, name) for name in ("accepted", "skipped", "replaced")}
        about = {"file_name": previews.cleaned(file_name), "digest": report.digest, "file_format": report.file_format}
        Batch(uuid=report.batch, by=by, state=Batch.State.DONE, created_at=now, finished_at=now, **about, **counts).save()

    return note


def begin(batch: Batch, existing: Existing, user: User, client: Client, now: datetime, *, queued: bool) -> None:
    """The batch is on its way into the stock: the one way in which an import is started. `queued`: the worker carries it out,
    else the caller does, by `run`. Refused WRONG_STATE if it was started before, its time is over, or a row is refused;
    APPROVAL_NEEDED by setting, until another administrator has approved this very file, which may be uploaded again then."""
    stops = batch.refused + (batch.existing if existing is Existing.REFUSE else 0)
    if stops or (existing is Existing.REPLACE and batch.unfit):
        raise Refused(Reason.WRONG_STATE)
    columns = {"choice": existing, "asked_from": asdict(client), "expires_at": now + WAITS}
    what, coming = f"import:{batch.digest}:{batch.file_format}:{existing}", batch.new + batch.existing
    about: dict[str, Any] = {"file": batch.file_name, "sha256": batch.digest, "rows": coming, "existing": str(existing)}
    with approved("import", what, user, client, now, **about), transaction.atomic():
        mine = Batch.objects.filter(pk=batch.pk, state=Batch.State.PREVIEWED, expires_at__gt=now)
        if mine.update(state=Batch.State.WAITING, **columns) != 1:
            raise Refused(Reason.WRONG_STATE)
        batch.parts.update(expires_at=now + WAITS)
        if queued:
            run_queued.enqueue(str(batch.uuid))


@task()
def run_queued(batch: str) -> None:
    """`run`, by the worker. The queue carries no more than the id."""
    run(UUID(batch))


def run(uuid: UUID) -> None:
    """The batch that waited is imported, or it says why not and nothing of it came in. Only the first call does anything."""
    batch = Batch.objects.filter(uuid=uuid).first()
    now = timezone.now()
    if batch is None or not batch.move(Batch.State.WAITING, Batch.State.RUNNING, expires_at=now + BEAT):
        return
    user = User.objects.filter(uuid=batch.by, is_active=True).first()
    try:
        if user is None or not may(user, "import_tokens"):
            fail(batch, [], "")
            return
        on = terms(user, Existing(batch.choice), Client(**(batch.asked_from or {})), now, lambda report: finish(batch, report))
        report = stock.import_rows(lambda: rows(batch), Report(batch.uuid, batch.file_format, batch.digest), on)
        if report.refused:
            fail(batch, report.refused, "")
    except BadFile as bad:
        fail(batch, [], bad.reason.name)
    except Exception:
        fail(batch, [], "")
        raise


def rows(batch: Batch) -> Iterator[Row]:
    """The rows of the batch with their keys; half of the way is done when they were read. BadFile if one is missing."""
    keys = list(batch.parts.order_by("pk").values_list("pk", flat=True))
    count, before, shown = 0, batch.progress, batch.progress
    for number, key in enumerate(keys, start=1):
        for row in previews.opened(Part.objects.get(pk=key)):
            count += 1
            yield row
        percent = before + 49 * number // len(keys)
        if percent != shown:
            shown = percent
            Batch.objects.filter(pk=batch.pk).update(progress=percent, expires_at=timezone.now() + BEAT)
    batch.progress = shown
    if count != batch.new + batch.existing:
        raise BadFile(Why.FILE_CHANGED)


def finish(batch: Batch, report: Report) -> None:
    """The batch is the record of its import, and nothing sealed is left of it; BadFile if it was given up meanwhile."""
    now = timezone.now()
    counts = {name: getattr(report, name) for name in ("accepted", "skipped", "replaced")}
    over = {"expires_at": None, "asked_from": None, "progress": 100, "finished_at": now}
    if not batch.move(Batch.State.RUNNING, Batch.State.DONE, **counts, **over):
        raise BadFile(Why.FILE_CHANGED)
    batch.parts.filter(fate=Part.Fate.NEW).delete()
    batch.parts.update(sealed="", expires_at=now + previews.KEPT_FOR)


def fail(batch: Batch, refused: list[BadRow], why: str) -> None:
    """Nothing came in; what the report can tell of it stays for a day, and nothing that was sealed."""
    now = timezone.now()
    log.warning("import failed", extra={"batch": str(batch.uuid), "why": why})
    with transaction.atomic():
        over = {"expires_at": now + FAILED_FOR, "asked_from": None, "finished_at": now, "refused": len(refused)}
        if not batch.move(Batch.State.RUNNING, Batch.State.FAILED, why=why, **over):
            return
        batch.parts.all().delete()
        for start in range(0, len(refused), previews.PAGE):
            told = [
                {"row": row.number, "serial": row.serial, "why": row.reason.name}
                for row in refused[start : start + previews.PAGE]
            ]
            Part(batch=batch, fate=Part.Fate.REFUSED, shown=told, expires_at=now + FAILED_FOR).save(force_insert=True)


def drop(batch: Batch) -> None:
    """A preview is forgotten; Refused WRONG_STATE once its import was started."""
    with transaction.atomic():
        if not batch.move(Batch.State.PREVIEWED, Batch.State.READING):  # nobody else sees or starts it from now on
            raise Refused(Reason.WRONG_STATE)
        Batch.objects.filter(pk=batch.pk).delete()


def undo(batch: Batch, client: Client, now: datetime, *, actor: UUID) -> None:
    """No token of the batch is in stock any more; Refused WRONG_STATE, and nothing changed, if it was not imported or one of
    them was handed out, used, replaced or retired. What it had replaced does not come back."""
    with transaction.atomic():
        out = stock.take_out(batch.uuid, batch.accepted)
        if not out or not batch.move(Batch.State.DONE, Batch.State.UNDONE, undone_at=now, undone_by=actor):
            raise Refused(Reason.WRONG_STATE)
        record("import_undone", client=client, actor=actor, batch=str(batch.uuid), count=batch.accepted)


def over(now: datetime) -> dict[str, QuerySet[Any]]:
    """What `prune` may forget: previews and failed imports whose time is over, and reports."""
    return {
        "token_file_rows": Part.objects.filter(expires_at__lt=now),
        "token_files": Batch.objects.filter(expires_at__lt=now).exclude(state__in=(Batch.State.DONE, Batch.State.UNDONE)),
    }
