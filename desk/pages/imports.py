"""Import tokens: upload a file, look at every row, import it, see what became of it, undo it."""

import re
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.api.own import person
from accounts.models import User
from accounts.views.frame import first_error, say
from accounts.words import sentence
from desk import importing, previews
from desk.models import Batch, Part
from desk.pages.frame import render
from devices.judging import Existing
from devices.seed_files import BadFile, Secret, Why
from mfa_site.client import client
from mfa_site.errors import Reason, Refused

SHOWN = 50  # earlier imports on a page
AGAIN = 2  # seconds between two looks at an import in progress
NUMBER = re.compile(r"\A[1-9][0-9]{0,8}\Z")


class UploadForm(forms.Form):
    """A token file and what opens it. What was typed is never shown again."""

    file = forms.FileField(label=_("Token file"))
    format = forms.ChoiceField(
        label=_("Format"),
        required=False,
        choices=[
            ("", _("Recognise it")),
            ("pskc", _("PSKC (XML)")),
            ("oath-csv", _("OATH CSV")),
            ("entra-csv", _("Microsoft Entra CSV")),
            ("yubico-csv", _("Yubico CSV")),
            ("otpauth", _("otpauth:// links")),
        ],
    )
    key = forms.CharField(label=_("Pre-shared key"), required=False, widget=forms.PasswordInput(attrs={"autocomplete": "off"}))
    passphrase = forms.CharField(
        label=_("Passphrase"), required=False, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "off"})
    )
    private_key = forms.CharField(
        label=_("Private key"), required=False, widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off"})
    )

    @property
    def secret(self) -> Secret:
        """What opens the file; after `is_valid`."""
        given = self.cleaned_data
        return Secret(given["key"], given["passphrase"], given["private_key"].encode())

    def clean(self) -> dict[str, Any]:
        """Of what opens a file, one at most."""
        given: dict[str, Any] = super().clean() or {}
        if sum(bool(given.get(name)) for name in ("key", "passphrase", "private_key")) > 1:
            raise forms.ValidationError(_("Give a key, a passphrase or a private key, not several of them."))
        return given


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """`import/`: the form, and the imports of before."""
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if request.method != "POST":
        return upload_page(request, form)
    if not form.is_valid():
        return upload_page(request, form, first_error(form), 400)
    file = form.cleaned_data["file"]
    try:
        batch = previews.look(file, file.name, form.cleaned_data["format"], form.secret, person(request), timezone.now())
    except BadFile as bad:
        row = gettext("Row %(number)d:") % {"number": bad.number} + " " if bad.number else ""
        return upload_page(request, form, row + str(bad.reason.sentence), 422)
    return redirect("admin:import-batch", batch.uuid)


def upload_page(request: HttpRequest, form: UploadForm, error: str = "", status: int = 200) -> HttpResponse:
    """The form, without what was typed, and a page of earlier imports."""
    before = request.GET.get("before", "")
    found = Batch.seen_by(person(request).uuid, timezone.now()).order_by("-pk")
    rows = list((found.filter(pk__lt=int(before)) if NUMBER.match(before) else found)[: SHOWN + 1])
    older = rows[SHOWN - 1].pk if len(rows) > SHOWN else None
    fresh = UploadForm(initial={"format": form.data.get("format", "")})
    who = names({row.by for row in rows})
    history = [{"batch": row, "by": who.get(row.by, gettext("Command line"))} for row in rows[:SHOWN]]
    context = {"form": fresh, "error": error, "errors": error, "history": history, "older": older}
    return render(request, "import.html", _("Import tokens"), status=status, **context)


def names(uuids: set[UUID | None]) -> dict[UUID, str]:
    """User names by uuid."""
    return dict(User.objects.filter(uuid__in=[uuid for uuid in uuids if uuid]).values_list("uuid", "username"))


def seen(request: HttpRequest, uuid: UUID) -> Batch:
    """The batch; Refused NOT_FOUND for somebody else's that was not imported, and for what is over."""
    batch = Batch.seen_by(person(request).uuid, timezone.now()).filter(uuid=uuid).first()
    if batch is None:
        raise Refused(Reason.NOT_FOUND)
    return batch


@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`import/<batch>/`: its preview, how far its import is, or what became of it. POST starts the import."""
    batch = seen(request, uuid)
    if request.method == "POST":
        return start(request, batch)
    if batch.is_on_its_way:
        response = render(request, "import_progress.html", _("Importing"), batch=batch)
        response["Refresh"] = str(AGAIN)  # by the header: it works without a script
        return response
    if batch.state == Batch.State.PREVIEWED:
        return preview(request, batch)
    who = names({batch.by, batch.undone_by})
    by, undone_by = who.get(batch.by, gettext("Command line")), who.get(batch.undone_by) if batch.undone_by else ""
    why = str(Why[batch.why].sentence) if batch.why else ""
    has_report = batch.parts.filter(fate__lt=Part.Fate.NEW).exists()
    return render(
        request, "import_result.html", _("Import"), batch=batch, why=why, has_report=has_report, by=by, undone_by=undone_by
    )


def preview(request: HttpRequest, batch: Batch) -> HttpResponse:
    """Every row, those that are refused first."""
    asked = request.GET.get("page", "1")
    if not NUMBER.match(asked):
        raise Refused(Reason.NOT_FOUND)
    part, pages = previews.page(batch, int(asked))
    rows = [in_words(row) for row in part.shown] if part else []
    status = previews.outcome(batch, part.fate) if part else ""
    counts = {"number": int(asked), "pages": pages, "to_import": batch.new + batch.existing}
    return render(request, "import_preview.html", _("Preview"), batch=batch, rows=rows, outcome=status, **counts)


def in_words(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the preview for its table."""
    moves = gettext("%(n)d seconds") % {"n": row["period"]} if "period" in row else ""
    moves = gettext("from %(n)d on") % {"n": row["counter"]} if "counter" in row else moves
    return {**row, "moves": moves, "sentence": Why[row["why"]].sentence if "why" in row else ""}


def start(request: HttpRequest, batch: Batch) -> HttpResponse:
    """The import is on its way, unless the preview says why not."""
    choice = request.POST.get("existing", Existing.REFUSE)
    if choice not in list(Existing):
        raise Refused(Reason.MALFORMED)
    try:
        importing.begin(batch, Existing(choice), person(request), client(request), timezone.now(), queued=True)
    except Refused as refused:
        if refused.reason is Reason.APPROVAL_NEEDED:
            again = gettext("If this preview is forgotten by then, upload the same file once more.")
            messages.error(request, f"{sentence(refused)} {again}")
        elif batch.existing and choice == Existing.REFUSE:
            messages.error(request, gettext("Choose what becomes of the serials that are there already."))
        else:
            messages.error(request, gettext("This import cannot be started, or was started already."))
    return redirect("admin:import-batch", batch.uuid)


@require_POST
def cancel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`import/<batch>/cancel/`: the preview is forgotten."""
    try:
        importing.drop(seen(request, uuid))
    except Refused as refused:
        if refused.reason is Reason.NOT_FOUND:
            raise
        messages.error(request, gettext("This import was started already."))
        return redirect("admin:import-batch", uuid)
    say(request, gettext("Nothing was imported, and nothing of the file is kept."))
    return redirect("admin:import")


@require_POST
def undo(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`import/<batch>/undo/`: nothing of the batch is in stock any more."""
    batch = seen(request, uuid)
    try:
        importing.undo(batch, client(request), timezone.now(), actor=person(request).uuid)
    except Refused:
        text = gettext("It cannot be undone: a token of it was handed out, used, replaced or removed, or it was undone before.")
        messages.error(request, text)
    else:
        say(request, gettext("The import was undone: none of its tokens is in stock any more."))
    return redirect("admin:import-batch", uuid)


@require_safe
def report(request: HttpRequest, uuid: UUID) -> HttpResponseBase:
    """`import/<batch>/report.csv`: the rows that were refused or there already."""
    batch = seen(request, uuid)
    response = StreamingHttpResponse(previews.report(batch), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{str(batch.uuid)[:8]}.csv"'
    return response
