"""Bringing every sealed value under the first key of the keyring while the service runs.

Each value is replaced by one conditional UPDATE (`WHERE pk AND column = the old value`), so that what is written meanwhile
is never lost; one row at a time, so that no sign-in waits. Whoever starts again goes on: what the first key sealed stays.
Nothing is sealed with other bytes under the id of a key that sealed before: they would lock away what they sealed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db.models import Model

from mfa_site import keyring
from mfa_site.fields import MacField, SealedField
from mfa_site.models import StoredKey

BATCH = 500  # rows read at once
NAMED = 100  # rows named that do not open; the rest is only counted


class FalseKey(Exception):
    """Something sealed under the first key's id does not open with it: other bytes, or a value that was changed or moved."""


@dataclass
class Column:
    """One column and what a walk over it found: rows by key id, rows resealed, uuids of rows that do not open."""

    model: type[Model]
    name: str
    resealed: int = 0
    keys: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    closed_rows: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """`table.column`."""
        return f"{self.model._meta.db_table}.{self.name}"


def columns(kind: type[SealedField] | type[MacField]) -> list[Column]:
    """Every column of this class, by app."""
    return [Column(model, one.name) for model in apps.get_models() for one in model._meta.local_fields if isinstance(one, kind)]


def reseal() -> list[Column]:
    """Every value that opens is sealed with the first key; what was found, and how many were resealed.

    FalseKey, with nothing changed, if a value under the first key's id does not open.
    """
    first, found = keyring.first_key_id(), columns(SealedField)
    for column in found:
        _trust(first, column)
    # The stored keys before all others: they are opened at every start, so from then on no process starts with a false key.
    found.sort(key=lambda column: column.model is not StoredKey)
    return [_walk(column, first) for column in found]


def _trust(first: str, column: Column) -> None:
    for _pk, uuid, value in _pages(column, "pk", "uuid", column.name, **{f"{column.name}__startswith": f"v1.{first}."}):
        try:
            keyring.unseal(value, column.model._meta.db_table, column.name, uuid)
        except keyring.CannotOpen:
            raise FalseKey(
                f"row {uuid} of {column.place} was sealed with {first} and does not open with this {first}"
            ) from None


def inspect() -> list[Column]:
    """What is sealed with which key now, and what does not open."""
    return [_walk(column) for column in columns(SealedField)]


def old_macs() -> list[Column]:
    """MACs that were made under keys of the ring itself, before there was a stored key for them, by key id."""
    found = columns(MacField)
    for column in found:
        for _pk, value in _pages(column, "pk", column.name, **{f"{column.name}__startswith": "v1."}):
            column.keys[keyring.key_id(value)] += 1
    return found


def _walk(column: Column, first: str | None = None) -> Column:
    """With `first`, values sealed with another key are sealed with that one."""
    for pk, uuid, value in _pages(column, "pk", "uuid", column.name):
        place = (column.model._meta.db_table, column.name, uuid)
        column.keys[keyring.key_id(value)] += 1
        try:
            clear = keyring.unseal(value, *place)
        except keyring.CannotOpen:
            column.closed += 1
            column.closed_rows += [str(uuid)] if column.closed <= NAMED else []
            continue
        if first and keyring.key_id(value) != first:
            still = column.model._base_manager.filter(pk=pk, **{column.name: value})
            column.resealed += still.update(**{column.name: keyring.seal(clear, *place)})
    return column


def _pages(column: Column, *names: str, **which: Any) -> Iterator[tuple[Any, ...]]:
    """The rows that have a value, a batch at a time by primary key; none stays open between two batches."""
    rows = column.model._base_manager.filter(**which).exclude(**{column.name: ""}).order_by("pk").values_list(*names)
    batch = list(rows[:BATCH])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1][0])[:BATCH])
