"""The forms of the pages; JSON never comes near them."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts import enrolment
from accounts.models.user import NAME_LENGTH, User
from accounts.passwords import LONGEST, shortest
from devices.models import Kind
from mfa_site import api

PLAIN = {"autocapitalize": "none", "spellcheck": "false"}
TOO_LONG = _("Use at most %(limit_value)d characters.")
TOUCH = "[cbdefghijklnrtuvCBDEFGHIJKLNRTUV]{44}"  # a YubiKey's code is welcome in every field


def typed(*lengths: int) -> str:
    """What a browser lets through into a field for so many digits (HTML's `pattern`): spaces and hyphens among them, or a
    touch of a YubiKey. It only keeps typing errors from being counted; what is sent all the same is judged."""
    digits = "|".join(rf"([0-9][ \-]*){{{length}}}" for length in lengths)
    return rf"\s*({digits}|{TOUCH})\s*"


class UsernameForm(forms.Form):
    """Whose account it is."""

    username = forms.CharField(
        label=_("Username"),
        max_length=NAME_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True, **PLAIN}),
        error_messages={"required": _("Enter your username."), "max_length": _("No username is that long.")},
    )


class SignInForm(UsernameForm):
    """Name and password together, so that password managers fill both."""

    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=LONGEST,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": _("Enter your password."), "max_length": _("No password here is that long.")},
    )


class CodeForm(forms.Form):
    """One code, one text field; spaces and hyphens are welcome."""

    code = forms.CharField(max_length=200, error_messages={"required": _("Enter the code.")})
    next_code = forms.CharField(max_length=200, required=False)

    @property
    def given(self) -> str:
        """The answer as typed; two codes in a row line a token up."""
        return f"{self.cleaned_data['code']} {self.cleaned_data['next_code']}".rstrip()


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


class PhoneForm(forms.Form):
    """Where text messages go."""

    TITLE = _("Add a phone number")
    address = forms.CharField(
        label=_("Phone number"),
        help_text=_("With the country code, like +49 151 12345678."),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel", "autofocus": True, "dir": "ltr"}),
        error_messages={"required": _("Enter your phone number."), "max_length": TOO_LONG},
    )


class MailForm(forms.Form):
    """Where codes go by mail."""

    TITLE = _("Add a mail address")
    address = forms.CharField(
        label=_("Mail address"),
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "email", "inputmode": "email", "autofocus": True, "dir": "ltr", **PLAIN}),
        error_messages={"required": _("Enter your mail address."), "max_length": TOO_LONG},
    )


class HardwareForm(forms.Form):
    """A token that lies in somebody's hand: the number on its back and two codes that follow each other."""

    CODE: dict[str, Any] = {"autocomplete": "off", "dir": "ltr", "class": "code", **PLAIN}
    CODE |= {"pattern": typed(6, 7, 8), "title": _("6 to 8 digits, or a touch of the YubiKey")}
    serial = forms.CharField(
        label=_("Serial number"),
        help_text=_("It is printed on the back of the token."),
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off", "dir": "ltr", "autofocus": True, **PLAIN}),
        error_messages={"required": _("Enter the number on the back of the token."), "max_length": TOO_LONG},
    )
    code = forms.CharField(
        label=_("Code"),
        help_text=_("The code that it shows now. Press its button, if it has one."),
        max_length=64,
        widget=forms.TextInput(attrs=CODE),
        error_messages={"required": _("Enter the code that it shows.")},
    )
    next_code = forms.CharField(
        label=_("Next code"),
        help_text=_("The very next one: wait until it changes, or press the button again."),
        max_length=64,
        widget=forms.TextInput(attrs=CODE),
        error_messages={"required": _("Enter the next code too.")},
    )

    @property
    def answers(self) -> list[str]:
        """The two codes."""
        return [self.cleaned_data["code"], self.cleaned_data["next_code"]]


class TwoCodesForm(HardwareForm):
    """Two codes of a token that one has already."""

    serial = None  # type: ignore[assignment]  # Django's way to leave a field out


def asking_form(kind: str) -> type[forms.Form]:
    """The form for what has to be said of a device of this kind before it can be enrolled."""
    return PhoneForm if kind == Kind.SMS else MailForm


class NameForm(forms.Form):
    """What a person calls a device."""

    name = forms.CharField(
        label=_("Name"),
        max_length=enrolment.NAME_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Give the device a name."), "max_length": TOO_LONG},
    )

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if not name.isprintable():
            raise ValidationError(_("Use letters, digits and punctuation."))
        return name


class NewPasswordForm(forms.Form):
    """A new password, twice: typed unseen, it would lock out whoever mistypes it.

    `username` is for password managers, which then know whose password changes; nothing reads it.
    """

    username = forms.CharField(required=False, widget=forms.HiddenInput(attrs={"autocomplete": "username"}))
    new = forms.CharField(
        label=_("New password"),
        strip=False,
        max_length=LONGEST,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={"required": _("Enter a new password."), "max_length": TOO_LONG},
    )
    again = forms.CharField(
        label=_("New password once more"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={"required": _("Enter the new password once more.")},
    )

    def __init__(self, user: User, data: Any = None) -> None:
        super().__init__(data, initial={"username": user.username})
        self.user = user
        first = next(field for name, field in self.fields.items() if name != "username")
        first.widget.attrs["autofocus"] = True
        least = shortest(user)
        self.fields["new"].help_text = _("At least %(n)d characters, and nothing that many people use.") % {"n": least}
        for name in ("new", "again"):
            # Apple's rule language for generators; what the form takes is decided by the validators.
            self.fields[name].widget.attrs |= {"minlength": least, "passwordrules": f"minlength: {least};"}

    def clean_new(self) -> str:
        new = str(self.cleaned_data["new"])
        validate_password(new, self.user)
        return new

    def clean(self) -> None:
        given = self.cleaned_data
        if "new" in given and "again" in given and given["new"] != given["again"]:
            self.add_error("again", _("The two are not the same. Enter the new password in both fields."))


class PasswordForm(NewPasswordForm):
    """The present password, and the new one."""

    current = forms.CharField(
        label=_("Current password"),
        strip=False,
        max_length=LONGEST,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": _("Enter the password you have now."), "max_length": _("No password here is that long.")},
    )
    field_order = ("username", "current", "new", "again")

    def clean(self) -> None:
        super().clean()
        given = self.cleaned_data
        if "new" in given and given["new"] == given.get("current"):
            self.add_error("new", _("That is the password you have now. Choose another."))


def answer_form(answer_type: type) -> type[CodeForm] | type[KeyForm]:
    """The form for a kind's answers."""
    return CodeForm if answer_type is str else KeyForm
