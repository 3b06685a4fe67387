"""Pages of the audit: search, one's own acts, taking events out."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import activity
from accounts.api.own import person
from accounts.views.frame import first_error
from audit import seals, search
from audit.search import Sought
from desk import event_words, exporting, looking_up
from desk.api_audit import behind
from desk.pages.frame import render
from mfa_site.client import client
from mfa_site.errors import Reason, Refused
from mfa_site.proof import check

PAGE = 50

ACTS = sorted({*activity.SENTENCES, *event_words.SENTENCES})
REASONS = ["done", "refused", *sorted(reason.name for reason in Reason)]


class SearchForm(forms.Form):
    """What is sought, each as it was typed."""

    person = forms.CharField(label=gettext_lazy("Person"), help_text=gettext_lazy("Username or uuid"))
    device = forms.CharField(label=gettext_lazy("Device"), help_text=gettext_lazy("Serial or uuid"))
    actor = forms.CharField(label=gettext_lazy("Done by"), help_text=gettext_lazy("Username, uuid or console"))
    act = forms.CharField(label=gettext_lazy("Act"), help_text=gettext_lazy("For instance signed_in or device_*"))
    result = forms.CharField(label=gettext_lazy("Result"), help_text=gettext_lazy("done, refused or a reason"))
    address = forms.CharField(label=gettext_lazy("Address"), help_text=gettext_lazy("For instance 192.0.2.7 or 192.0.2.*"))
    since = forms.CharField(label=gettext_lazy("Since"), help_text=gettext_lazy("Date or time, UTC"))
    until = forms.CharField(label=gettext_lazy("Until"), help_text=gettext_lazy("Date or time, UTC"))
    request_id = forms.CharField(label=gettext_lazy("Request"), help_text=gettext_lazy("Its id, from an error page or the log"))

    sought: Sought | None = None

    def __init__(self, given: Any) -> None:
        super().__init__(given, label_suffix="")
        for name, field in self.fields.items():
            field.required = False
            field.widget.attrs |= {"maxlength": looking_up.LONGEST, "autocomplete": "off", "spellcheck": "false"}
            field.max_length = looking_up.LONGEST  # type: ignore[attr-defined]
            if name in ("act", "result"):
                field.widget.attrs["list"] = f"{name}s"

    def clean(self) -> dict[str, Any]:
        """Made exact; what is wrong stands at its field."""
        given: dict[str, Any] = super().clean() or {}
        try:
            self.sought = looking_up.sought(given)
        except Refused as refused:
            self.add_error(refused.facts["field"], str(refused.facts["detail"]))
        return given

    @property
    def query(self) -> str:
        """The filter as the query of an address that stays."""
        return urlencode({name: value for name in self.fields if (value := self.data.get(name, "").strip())})


def audit(request: HttpRequest) -> HttpResponse:
    """Events that fit the form, the newest first, and how the chain stands."""
    form = SearchForm(request.GET)
    found = search.Found([])
    if form.is_valid() and form.sought is not None:
        found = search.look(form.sought, PAGE, behind(request.GET.get("after", "")))
    head = seals.newest()
    context: dict[str, Any] = {
        "form": form,
        "query": form.query,
        "lines": event_words.lines(found.events),
        "found": found,
        "acts": ACTS,
        "reasons": REASONS,
        "head": head,
        "unsealed": seals.unsealed(head),
        "most_unsealed": seals.MOST,
        "key": seals.public_text(seals.signing_key().public_key()),
        "after": request.GET.get("after", ""),
    }
    return render(request, "audit.html", _("Audit"), status=200 if form.is_valid() else 400, **context)


def mine(request: HttpRequest) -> HttpResponse:
    """What this administrator did, the newest first."""
    found = search.look(Sought(actor=check(request).person), PAGE, behind(request.GET.get("after", "")))
    context: dict[str, Any] = {"lines": event_words.lines(found.events), "found": found, "after": request.GET.get("after", "")}
    return render(request, "audit_mine.html", _("What you did"), **context)


def take_out(request: HttpRequest) -> HttpResponse:
    """The form's filter again; POST sends the file."""
    form, status, error = SearchForm(request.GET), 200, ""
    if not form.is_valid() or form.sought is None:
        error, status = first_error(form), 400
    elif request.method == "POST":
        try:
            chosen, user = request.POST.get("form", ""), person(request)
            made = exporting.take_out(form.sought, chosen, user, client(request), timezone.now())
        except Refused as refused:
            error, status = str(refused.facts.get("detail", _("Choose a form."))), refused.reason.status
        else:
            headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
            sent: Any = StreamingHttpResponse(made.content, content_type=made.media_type, headers=headers)
            return sent  # type: ignore[no-any-return]  # of a class beside HttpResponse, and served as well
    given = [(field.label, field.value()) for field in form if field.value()]
    context: dict[str, Any] = {"form": form, "query": form.query, "given": given, "error": error}
    return render(request, "audit_export.html", _("Export"), status=status, **context)
