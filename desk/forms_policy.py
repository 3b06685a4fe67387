"""The forms of the policy pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts import policy_words
from accounts.changing_policy import GROUP_NAME
from accounts.models import Attestation
from accounts.rules import Rule
from devices import aaguids


class GroupForm(forms.Form):
    """The name of a new group."""

    name = forms.CharField(label=_("Name of the group"), max_length=GROUP_NAME)


class NamesForm(forms.Form):
    """People by their names."""

    names = forms.CharField(
        label=_("Usernames"),
        widget=forms.Textarea(attrs={"rows": 6, "cols": 40, "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("One a line, or with commas between; 1,000 at most."),
        max_length=60_000,
    )


class PolicyForm(forms.Form):
    """What a policy says."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1)
    weakest_acr = forms.ChoiceField(
        label=policy_words.TITLES["weakest_acr"], choices=list(policy_words.STRENGTHS.items()), widget=forms.RadioSelect
    )
    kinds = forms.MultipleChoiceField(
        label=policy_words.TITLES["kinds"],
        choices=policy_words.choices_of_kinds,
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    sms = forms.BooleanField(label=policy_words.TITLES["sms"], required=False)
    email = forms.BooleanField(label=policy_words.TITLES["email"], required=False)
    attestation = forms.ChoiceField(
        label=policy_words.TITLES["attestation"], choices=Attestation.choices, widget=forms.RadioSelect
    )
    key_models = forms.MultipleChoiceField(label=_("Models of keys"), widget=forms.CheckboxSelectMultiple, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        held = self.initial.get("key_models", [])
        names = dict.fromkeys([*aaguids.models(), *held])
        self.fields["key_models"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    @staticmethod
    def said(rule: Rule, version: int) -> dict[str, Any]:
        """The rule as the form shows it."""
        every = [name for name, _title in policy_words.choices_of_kinds()]
        return {
            "version": version,
            "weakest_acr": rule.weakest_acr,
            "kinds": every if rule.kinds is None else sorted(rule.kinds),
            "sms": rule.sms,
            "email": rule.email,
            "attestation": rule.attestation,
            "key_models": sorted(aaguids.names_of(rule.key_models)),
        }

    def clean(self) -> dict[str, Any]:
        """Listed means that models are listed."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("attestation") == Attestation.LISTED and not given.get("key_models"):
            self.add_error("key_models", _("Choose the models."))
        return given

    def wanted(self, group: str | None) -> Rule:
        """The rule that was asked for; all kinds are no condition, and of a model all its AAGUIDs are meant."""
        given, models = self.cleaned_data, aaguids.models()
        chosen = frozenset(given["kinds"])
        every = {name for name, _title in policy_words.choices_of_kinds()}
        listed = given["attestation"] == Attestation.LISTED
        meant = (models.get(name, {name}) for name in given["key_models"] if listed)
        return Rule(
            group,
            given["weakest_acr"],
            None if chosen == every else chosen,
            given["attestation"],
            frozenset().union(*meant),
            given["sms"],
            given["email"],
        )

    def as_sent(self) -> list[tuple[str, str]]:
        """Names and values to send once more."""
        pairs: list[tuple[str, str]] = []
        for name in self.fields:
            value = self.cleaned_data[name]
            if value is True:
                pairs.append((name, "on"))
            elif value is not False:
                pairs.extend((name, str(one)) for one in (value if isinstance(value, list) else [value]))
        return pairs
