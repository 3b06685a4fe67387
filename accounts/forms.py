"""The forms of the pages; JSON never comes near them."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models.user import NAME_LENGTH
from mfa_site import api

PLAIN = {"autocapitalize": "none", "spellcheck": "false"}


class SignInForm(forms.Form):
    """Name and password together, so that password managers fill both."""

    username = forms.CharField(
        label=_("Username"),
        max_length=NAME_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True, **PLAIN}),
        error_messages={"required": _("Enter your username."), "max_length": _("No username is that long.")},
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": _("Enter your password."), "max_length": _("No password here is that long.")},
    )


class CodeForm(forms.Form):
    """One code, one text field; spaces and hyphens are welcome."""

    code = forms.CharField(max_length=200, error_messages={"required": _("Enter the code that your device shows now.")})

    @property
    def given(self) -> str:
        """The answer as typed."""
        return str(self.cleaned_data["code"])


class KeyForm(forms.Form):
    """The browser's WebAuthn answer, put into a hidden field by the script."""

    response = forms.CharField(
        max_length=60_000,
        error_messages={"required": _("Nothing came back from the key. Is it the right one, and plugged in or held close?")},
    )

    def clean_response(self) -> dict[str, Any]:
        try:
            given = api.load(self.cleaned_data["response"])
        except ValueError:
            given = None
        if type(given) is not dict:
            raise ValidationError(_("The browser's answer could not be read. Try again."))
        return given

    @property
    def given(self) -> dict[str, Any]:
        """The answer as an object."""
        return dict(self.cleaned_data["response"])


class NameForm(forms.Form):
    """What a person calls a device."""

    name = forms.CharField(
        label=_("Name"),
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Give the device a name."), "max_length": _("Use at most 64 characters.")},
    )

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if not name.isprintable():
            raise ValidationError(_("Use letters, digits and punctuation."))
        return name


def answer_form(answer_type: type) -> type[CodeForm] | type[KeyForm]:
    """The form for a kind's answers."""
    return CodeForm if answer_type is str else KeyForm
