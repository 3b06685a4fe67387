"""Columns that the keyring answers for; `mfa_site.rotation` finds them by their class, in every app."""

from typing import Any

from django.db import models


class SealedField(models.TextField):  # type: ignore[type-arg]  # Django's own is not generic
    """A sealed value, or nothing. The row has a `uuid`, and table, column and uuid are authenticated with the value.

    A row that exists is never saved with it: that could bring back what `rotate_keys` has resealed since it was read.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if not add:
            raise ValueError(f"{self.name} is changed by UPDATE; save with update_fields without it")
        return super().pre_save(model_instance, add)

    def deconstruct(self) -> Any:
        return _as_plain(super().deconstruct(), "TextField")


class MacField(models.CharField):  # type: ignore[type-arg]
    """A MAC that `keyring.mac` made, or nothing."""

    def deconstruct(self) -> Any:
        return _as_plain(super().deconstruct(), "CharField")


def _as_plain(made_of: Any, plain: str) -> Any:
    """For migrations the column is the plain one that it is in the database."""
    name, _path, args, kwargs = made_of
    return name, f"django.db.models.{plain}", args, kwargs
