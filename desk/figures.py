"""The dashboard's numbers, out of what the worker has counted (`accounts.census`, `audit.tally`): two statements, however many
people, devices and events there are."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Sum
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.census import ENDS, LATER, WHAT
from accounts.models import Count
from audit.models import Tally
from desk.event_words import why
from devices.models import SENT, Kind

DAYS = (7, 30, 90)
MOST_REASONS = 12  # the rest is one bar
SIGNED_IN, STOPPED, CANCELLED, NOT_SENT = "signed_in", "sign_in_refused", "sign_in_cancelled", "code_not_sent"
Words = str | Promise
WRONG: dict[str, Words] = {
    "answer_refused": _("Code or key"),
    "password_refused": _("Password"),
    "claim_refused": _("Serial"),
}


@dataclass(frozen=True)
class Figure:
    """Numbers as a table and a picture: a row for each day or thing, a column for each sort of what is counted. `by_day`: the
    rows are days."""

    name: str
    title: Words
    says: Words
    head: Words
    columns: list[Words]
    rows: list[tuple[Words, list[int]]]
    by_day: bool = False

    @property
    def total(self) -> int:
        """Everything counted."""
        return sum(sum(numbers) for _row, numbers in self.rows)


def figures(days: int, now: datetime) -> list[Figure]:
    """Everything that the dashboard shows, for so many days up to today."""
    today = now.date()
    first = today - timedelta(days=days - 1)
    counted = counts(first)
    happened = tallies(first)
    last = max((day for day, _what, _of in counted), default=today)
    newest = {(what, of): n for (day, what, of), n in counted.items() if day == last}
    return [
        adoption(counted),
        factors(newest),
        sign_ins_by_day(happened, first, today),
        sign_ins(happened),
        failures(happened),
        deliveries(happened),
        stock(newest),
        ends(newest),
    ]


def counts(first: date) -> dict[tuple[date, str, str], int]:
    """What the census counted since that day."""
    rows = Count.objects.filter(day__gte=first).order_by("day").values_list("day", "what", "of", "number")
    return {(day, what, of): n for day, what, of, n in rows}


def tallies(first: date) -> Counter[tuple[date, str, str, str]]:
    """What happened since that day, of the acts that are shown."""
    acts = (SIGNED_IN, STOPPED, CANCELLED, NOT_SENT, *WRONG)
    rows = (
        Tally.objects.filter(day__gte=first, act__in=acts).values_list("day", "act", "kind", "reason").annotate(n=Sum("events"))
    )
    return Counter({(day, act, kind, reason): n for day, act, kind, reason, n in rows})


def adoption(counted: dict[tuple[date, str, str], int]) -> Figure:
    """Devices in use by kind, day by day since they are counted."""
    kinds = [kind for kind in Kind if any(of == kind and n for (_day, what, of), n in counted.items() if what == "devices")]
    days = sorted({day for day, _what, _of in counted})
    rows: list[tuple[Words, list[int]]] = [
        (f"{day}", [counted.get((day, "devices", kind.value), 0) for kind in kinds]) for day in days
    ]
    says = _("Devices in use on each day, by kind. A set of recovery codes is one.")
    return Figure("adoption", _("Adoption"), says, _("Day"), [kind.label for kind in kinds], rows, by_day=True)


def factors(newest: dict[tuple[str, str], int]) -> Figure:
    """People by how many devices they can sign in with."""
    names = {"0": _("None"), "1": _("One"), "2": _("Two or more")}
    says = _("Active people by their devices in use, now. Recovery and temporary codes are none.")
    rows: list[tuple[Words, list[int]]] = [(names[of], [newest.get(("people", of), 0)]) for of in WHAT["people"]]
    return Figure("factors", _("People by devices"), says, _("Devices"), [_("People")], rows)


def sign_ins_by_day(happened: Counter[tuple[date, str, str, str]], first: date, today: date) -> Figure:
    """How sign-ins ended, day by day."""
    each = summed(happened, lambda day, act, _kind, _reason: (day, act))
    acts = {SIGNED_IN: _("Signed in"), STOPPED: _("Stopped after wrong answers"), CANCELLED: _("Cancelled")}
    days = [first + timedelta(days=n) for n in range((today - first).days + 1)]
    rows: list[tuple[Words, list[int]]] = [(f"{day}", [each[day, act] for act in acts]) for day in days]
    says = _("How sign-ins ended. Those that nobody went on with are not counted.")
    return Figure("sign-ins-by-day", _("Sign-ins by day"), says, _("Day"), list(acts.values()), rows, by_day=True)


def sign_ins(happened: Counter[tuple[date, str, str, str]]) -> Figure:
    """How sign-ins ended, by factor."""
    each = summed(happened, lambda _day, act, kind, _reason: (kind, act))
    kinds = sorted({kind for kind, act in each if act in (SIGNED_IN, STOPPED)}, key=lambda kind: -each[kind, SIGNED_IN])
    rows: list[tuple[Words, list[int]]] = [(kind_name(kind), [each[kind, SIGNED_IN], each[kind, STOPPED]]) for kind in kinds]
    says = _("The last answer decides: one sign-in counts once.")
    columns: list[Words] = [_("Signed in"), _("Stopped after wrong answers")]
    return Figure("sign-ins", _("Sign-ins by factor"), says, _("Factor"), columns, rows)


def failures(happened: Counter[tuple[date, str, str, str]]) -> Figure:
    """Wrong passwords and answers by why they were wrong."""
    each = summed(happened, lambda _day, act, _kind, reason: (act, reason) if act in WRONG else None)
    named: list[tuple[Words, list[int]]] = [
        (f"{WRONG[act]}: {why(reason)}", [n]) for (act, reason), n in each.most_common(MOST_REASONS)
    ]
    if rest := each.total() - sum(n for _name, [n] in named):
        named.append((_("All others"), [rest]))
    says = _("Every wrong password and answer, by reason.")
    return Figure("failures", _("Failures by reason"), says, _("Reason"), [_("Failures")], named)


def deliveries(happened: Counter[tuple[date, str, str, str]]) -> Figure:
    """Codes by message and mail: those that signed somebody in, and those that could not be sent."""
    each = summed(happened, lambda _day, act, kind, _reason: (kind, act))
    rows: list[tuple[Words, list[int]]] = [
        (kind.label, [each[kind.value, SIGNED_IN], each[kind.value, NOT_SENT]]) for kind in SENT
    ]
    says = _("Codes that somebody signed in with, and those that could not be sent. What was sent and not used is not known.")
    return Figure("deliveries", _("Codes by message"), says, _("Way"), [_("Used"), _("Not sent")], rows)


def stock(newest: dict[tuple[str, str], int]) -> Figure:
    """Tokens that wait for somebody, by kind."""
    rows: list[tuple[Words, list[int]]] = [
        (kind_name(of), [newest[what, of]]) for what, of in newest if what == "stock" and newest[what, of]
    ]
    return Figure("stock", _("Stock"), _("Tokens that wait for somebody, now."), _("Kind"), [_("Tokens")], rows)


def ends(newest: dict[tuple[str, str], int]) -> Figure:
    """Tokens by when their validity ends."""
    names: dict[str, Words] = {name: _("Within %(days)s days") % {"days": days} for name, days in ENDS if days}
    names = {"over": _("Over"), **names, LATER: _("Later")}
    rows = [(names[of], [newest.get(("ends", of), 0)]) for of in WHAT["ends"]]
    says = _("Tokens in use and in stock that have an end, now. Each counts once.")
    return Figure("ends", _("Ends of validity"), says, _("End"), [_("Tokens")], rows)


def summed(happened: Counter[tuple[date, str, str, str]], key: Any) -> Counter[Any]:
    """The counts by another key; None for what does not belong."""
    found: Counter[Any] = Counter()
    for each, n in happened.items():
        if (name := key(*each)) is not None:
            found[name] += n
    return found


def kind_name(kind: str) -> Words:
    """What the kind is called; of events from before it was written down, that."""
    return Kind(kind).label if kind in Kind.values else _("Not known")
