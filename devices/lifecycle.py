"""The states of a device and the legal moves between them, one vocabulary for page, API and audit.

Paused is a time, disabled a count, blocked by policy is computed: none of them is a state.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    """Where a device is in its life."""

    IN_STOCK = "in_stock", _("In stock")
    ASSIGNED = "assigned", _("Not tried yet")
    ACTIVE = "active", _("Ready")
    SUSPENDED = "suspended", _("Suspended")
    LOST = "lost", _("Reported lost")
    RETIRED = "retired", _("Removed")


MOVES: dict[State, frozenset[State]] = {
    State.IN_STOCK: frozenset({State.ASSIGNED, State.RETIRED}),
    State.ASSIGNED: frozenset({State.IN_STOCK, State.ACTIVE, State.LOST, State.RETIRED}),
    State.ACTIVE: frozenset({State.IN_STOCK, State.SUSPENDED, State.LOST, State.RETIRED}),
    State.SUSPENDED: frozenset({State.ACTIVE, State.IN_STOCK, State.LOST, State.RETIRED}),
    State.LOST: frozenset({State.ACTIVE, State.ASSIGNED, State.IN_STOCK, State.RETIRED}),
    State.RETIRED: frozenset(),
}


def states_before(new: State) -> list[State]:
    """The states from which a device may come into this one; staying is no move."""
    return [old for old, following in MOVES.items() if new in following]
