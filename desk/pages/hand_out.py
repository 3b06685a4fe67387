"""The desk where tokens are handed out: a serial is scanned, a person typed, a code checked if wanted.

Every step but the last is a GET, so that a scanner's Enter leads on and a reload changes nothing.
"""

from typing import Any

from django import forms
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts import handing_out, words
from accounts.forms import PLAIN
from accounts.models import User
from accounts.models.user import NAME_LENGTH, normalised
from accounts.views.frame import say
from accounts.words import sentence
from desk.approvals import approved
from desk.gate import refuse_higher
from desk.pages.devices import actor, called, page_of
from desk.pages.frame import render
from devices import kinds
from devices.lifecycle import State
from devices.models import WITH_SERIAL, Device
from mfa_site.client import client
from mfa_site.errors import Reason, Refused

MOST = 10  # people to choose from
DELIVERIES = 50  # batches and models to choose from
TYPED = {"autocomplete": "off", "dir": "ltr", **PLAIN}


class CodeToCheck(forms.Form):
    """One code of the token in hand, if it is to be tried at once."""

    code = forms.CharField(
        label=gettext_lazy("Code, if you want to check it"),
        help_text=gettext_lazy("Press the button and read the code. It is used up, and sets the token's counter or clock."),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs={**TYPED, "autofocus": True}),
    )


class TokenShows(forms.Form):
    """What the token shows, and among which it is looked for."""

    which = forms.ChoiceField(label=gettext_lazy("Among"))
    code = forms.CharField(label=gettext_lazy("Code"), max_length=64, widget=forms.TextInput(attrs=TYPED))
    next_code = forms.CharField(
        label=gettext_lazy("Next code"),
        help_text=gettext_lazy("Two codes in a row leave little to chance; one may fit several tokens."),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs=TYPED),
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        self.fields["which"].choices = deliveries()  # type: ignore[attr-defined]  # a ChoiceField

    @property
    def among(self) -> Q:
        """The condition on the tokens."""
        name, _colon, value = self.cleaned_data["which"].partition(":")
        return Q(**{name: value})

    @property
    def codes(self) -> list[str]:
        """One code, or two."""
        return [code for code in (self.cleaned_data["code"], self.cleaned_data["next_code"]) if code]


def deliveries() -> list[tuple[str, str]]:
    """The batches and models of which tokens are in stock, the largest first, with how many."""
    stock = Device.objects.filter(state=State.IN_STOCK, user=None, kind__in=WITH_SERIAL).order_by()
    found = []
    for name, label in (("batch", _("Delivery: %(what)s (%(n)d in stock)")), ("model", _("Model: %(what)s (%(n)d in stock)"))):
        rows = stock.exclude(**({"batch": None} if name == "batch" else {"model": ""})).values(name).annotate(n=Count("pk"))
        for row in rows.order_by("-n")[:DELIVERIES]:
            found.append((f"{name}:{row[name]}", label % {"what": str(row[name])[:36], "n": row["n"]}))
    return found


@require_http_methods(["GET", "HEAD", "POST"])
def hand_out(request: HttpRequest) -> HttpResponse:
    """`hand-out/?serial=&person=`: the next thing to scan or type; with both, POST hands the token out."""
    row, problem = token(request.GET.get("serial", ""))
    wanted = request.GET.get("person", "").strip() if row else ""
    people = matching(wanted) if wanted else []
    person = people[0] if len(people) == 1 else None
    form, status = CodeToCheck(request.POST if request.method == "POST" else None), 200
    if request.method == "POST" and (row is None or person is None):
        status = 409
    elif form.is_valid() and row and person:
        refuse_higher(actor(request), person)  # or whoever reads its codes has the second factor of a superuser
        try:
            user, who, now, code = actor(request), client(request), timezone.now(), form.cleaned_data["code"].strip()
            what = f"hand-out:{row.uuid}:{person.uuid}"
            with approved("administrators", what, user, who, now, person=person, serial=row.serial):
                handing_out.hand_out(row, person, who, now, actor=user.uuid, code=code)
        except Refused as refused:
            status, form.data = refused.reason.status, {}  # the code is not shown again
            counted = _("It was counted, and nothing was handed out.") if refused.reason.is_wrong_answer else ""
            form.add_error(None, f"{sentence(refused)} {counted}".rstrip())
        else:
            say(request, _("“%(device)s” was handed out to %(person)s.") % {"device": row.serial, "person": person.username})
            return redirect("admin:receipt", row.uuid)
    shown = {"row": row, "wanted": wanted, "people": people[:MOST], "more": len(people) > MOST, "person": person}
    shown |= {"state": words.state(row, timezone.now()) if row else "", "kind": kinds.title(row) if row else ""}
    errors = bool(form.errors or problem)
    title = _("Hand out a token")
    return render(request, "hand_out.html", title, status=status, form=form, problem=problem, errors=errors, **shown)


def token(serial: str) -> tuple[Device | None, str]:
    """The token in stock with this serial, or why there is none to hand out."""
    serial = serial.strip().upper()
    if not serial:
        return None, ""
    row = by_serial(serial)
    if row is None:
        return None, _("There is no token with the serial %(serial)s. Import it first.") % {"serial": serial[:64]}
    if row.state != State.IN_STOCK:
        facts = {"serial": row.serial, "state": words.state(row, timezone.now())}
        facts["owner"] = row.user.username if row.user else ""
        has = _("Token %(serial)s is not in stock: %(state)s, %(owner)s has it. Take it back first.")
        return None, (has if row.user else _("Token %(serial)s is not in stock: %(state)s.")) % facts
    return row, ""


def by_serial(serial: str) -> Device | None:
    """The token with this serial, whoever has it; one that was retired only where there is no other."""
    found = Device.objects.filter(serial=serial[:64]).select_related("user")
    row: Device | None = found.exclude(state=State.RETIRED).first() or found.order_by("-id").first()
    return row


def matching(wanted: str) -> list[User]:
    """Active people whose name, beginning of the username or mail address this is; the one whose username it is alone, if there
    is one. One more than MOST at most."""
    active = User.objects.filter(is_active=True)
    key = normalised(wanted[:NAME_LENGTH])
    if exact := list(active.filter(username_key=key)):
        return exact
    found = Q(username_key__startswith=key) | Q(name__icontains=wanted) | Q(email__istartswith=wanted)
    return list(active.filter(found).order_by("username_key")[: MOST + 1])


@require_http_methods(["GET", "HEAD", "POST"])
def whose_token(request: HttpRequest) -> HttpResponse:
    """`whose-token/?serial=`: who has the token with this serial; POST: which token in stock shows this code."""
    serial = request.GET.get("serial", "").strip().upper()[:64]
    row, form, status = by_serial(serial) if serial else None, TokenShows(request.POST or None), 200
    found: list[Device] | None = [row] if row else [] if serial else None
    if request.method == "POST":
        found, status = None, 400
        if form.is_valid():
            try:
                now = timezone.now()
                found = handing_out.look_for(form.codes, form.among, client(request), now, actor=actor(request).uuid)
                status = 200
            except Refused as refused:
                if refused.reason not in (Reason.MALFORMED, Reason.TOO_MANY_ATTEMPTS):
                    raise
                form.add_error(None, sentence(refused))
                status = refused.reason.status
    now, user = timezone.now(), actor(request)
    shown = [
        {
            "row": one,
            "called": called(one),
            "kind": kinds.title(one),
            "state": words.state(one, now),
            "page": page_of(user, one),
        }
        for one in (found or [])[:MOST]
    ]
    about = {"serial": serial, "found": shown, "looked": found is not None, "errors": bool(form.errors)}
    return render(request, "whose_token.html", _("Whose token is this?"), status=status, form=form, **about)
