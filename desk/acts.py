"""The acts on devices that have a page of their own and can be done to many devices at once: one table for both."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Protocol
from uuid import UUID

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import handing_out, out_of_use
from accounts.models import User
from accounts.out_of_use import Loss
from accounts.temporary import REASON_LENGTH
from desk.gate import refuse_higher
from devices import kinds
from devices.lifecycle import State
from devices.models import Device
from mfa_site.client import Client
from mfa_site.errors import Reason, Refused


class Why(forms.Form):
    """A reason for the audit."""

    why = forms.CharField(label=_("Why"), max_length=REASON_LENGTH, required=False, help_text=_("For the audit."))


class Until(Why):
    """For how long."""

    until = forms.DateField(
        label=_("Until"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("It comes back by itself when this day begins (UTC). Without a day somebody has to resume it."),
    )
    field_order = ("until", "why")


class Lost(Why):
    """What became of it."""

    loss = forms.ChoiceField(label=_("What happened"), choices=Loss, widget=forms.RadioSelect, initial=Loss.LOST)
    until = forms.DateField(
        label=_("Suspended until"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Only where it was forgotten; it comes back when this day begins (UTC). Without one, in 24 hours."),
    )
    field_order = ("loss", "until", "why")


class Run(Protocol):
    """Does it to one device; `given` is what the form brought."""

    def __call__(self, row: Device, given: dict[str, Any], client: Client, now: datetime, *, actor: UUID) -> None: ...


@dataclass(frozen=True)
class Act:
    """One act: what it is called, what it asks, what it says before and after, when it makes sense, how it is done."""

    permission: str
    title: Promise
    warns: Promise
    done: Promise
    form: type[forms.Form]
    possible: Callable[[Device], bool]
    run: Run

    def carry_out(self, user: User, row: Device, given: dict[str, Any], client: Client, now: datetime) -> None:
        """It is done to the device by this administrator; Refused where its holder is higher, or as the act says."""
        refuse_higher(user, row.user)
        if row.is_pending:
            raise Refused(Reason.WRONG_STATE)
        self.run(row, given, client, now, actor=user.uuid)


def beginning(day: date | None) -> datetime | None:
    """When the day begins."""
    return datetime.combine(day, time(), UTC) if day else None


def _suspend(row: Device, given: dict[str, Any], client: Client, now: datetime, *, actor: UUID) -> None:
    out_of_use.suspend(row, client, now, actor=actor, until=beginning(given["until"]), why=given["why"])


def _report(row: Device, given: dict[str, Any], client: Client, now: datetime, *, actor: UUID) -> None:
    until = beginning(given["until"]) if given["loss"] == Loss.FORGOTTEN else None
    out_of_use.report(row, given["loss"], client, now, actor=actor, until=until, why=given["why"])


def _take_back(row: Device, given: dict[str, Any], client: Client, now: datetime, *, actor: UUID) -> None:
    handing_out.take_back(row, client, now, actor=actor)


def _resume(row: Device, given: dict[str, Any], client: Client, now: datetime, *, actor: UUID) -> None:
    out_of_use.resume(row, client, now, actor=actor, why=given["why"])


def _unlock(row: Device, given: dict[str, Any], client: Client, now: datetime, *, actor: UUID) -> None:
    out_of_use.unlock(row, client, now, actor=actor, why=given["why"])


def _retire(row: Device, given: dict[str, Any], client: Client, now: datetime, *, actor: UUID) -> None:
    out_of_use.retire(row, client, now, actor=actor, why=given["why"])


def can_be_lost(row: Device) -> bool:
    """Whether somebody has it."""
    return row.user_id is not None and row.state in (State.ASSIGNED, State.ACTIVE, State.SUSPENDED)


def can_be_taken_back(row: Device) -> bool:
    """Whether it came from the stock and is not there."""
    return bool(row.serial) and row.user_id is not None and row.state != State.RETIRED


def can_be_lined_up(row: Device) -> bool:
    """Whether it is of a kind that can get out of step, and in use."""
    return row.user_id is not None and row.state in (State.ASSIGNED, State.ACTIVE) and kinds.module(row.kind).can_resync(row)


ACTS = {
    "suspend": Act(
        "report_lost",
        _("Suspend"),
        _("Nobody can sign in with it meanwhile, and every session that it opened ends."),
        _("suspended"),
        Until,
        lambda row: row.state == State.ACTIVE,
        _suspend,
    ),
    "resume": Act(
        "mend_device",
        _("Resume"),
        _("It can be used to sign in again. Make sure first that its owner has it in hand."),
        _("in use again"),
        Why,
        lambda row: row.state in (State.SUSPENDED, State.LOST),
        _resume,
    ),
    "unlock": Act(
        "mend_device",
        _("Unlock"),
        _("Its wrong answers are forgotten and it rests no more. If they were not its owner's, somebody knows the password."),
        _("unlocked"),
        Why,
        lambda row: row.failures > 0 and row.state != State.RETIRED,
        _unlock,
    ),
    "retire": Act(
        "retire_device",
        _("Retire"),
        _("It is gone for good, its key too: nobody can ever sign in with it again, and every session that it opened ends."),
        _("retired"),
        Why,
        lambda row: row.state != State.RETIRED,
        _retire,
    ),
    "take_back": Act(
        "hand_out_token",
        _("Take back"),
        _("It is in stock again and nobody's, and every session that it opened ends."),
        _("in stock again"),
        forms.Form,
        can_be_taken_back,
        _take_back,
    ),
    "report_lost": Act(
        "report_lost",
        _("Report lost"),
        _("Nobody can sign in with it from this moment on, and every session that it opened ends."),
        _("out of use"),
        Lost,
        can_be_lost,
        _report,
    ),
}
