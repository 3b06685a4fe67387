"""The person."""

import secrets
import unicodedata
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

NAME_LENGTH = 150
FIRST_ENROLMENT = timedelta(days=7)  # long enough for a holiday start, short enough for a stolen first password


def normalised(username: str) -> str:
    """The form in which names are compared and unique: NFKC, case-folded, NFKC again."""
    folded = unicodedata.normalize("NFKC", username).casefold()
    return unicodedata.normalize("NFKC", folded)


def new_user_handle() -> bytes:
    """64 random bytes: WebAuthn's user handle must say nothing about the person (WebAuthn 14.6.1)."""
    return secrets.token_bytes(64)


def first_enrolment_end() -> datetime:
    """Until when a new account may enrol its first device."""
    return timezone.now() + FIRST_ENROLMENT


def validate_username(value: str) -> None:
    """Printable, without spaces at its ends; ValidationError otherwise."""
    if not value.isprintable() or value != value.strip() or not normalised(value):
        raise ValidationError(_("Use letters, digits and punctuation, without spaces at the ends."))


class UserManager(BaseUserManager["User"]):
    """Finds people by any spelling of their name."""

    def get_by_natural_key(self, username: str | None) -> "User":
        # Normalising costs the square of a long run of combining marks; no name is longer than the column.
        if len(username or "") > NAME_LENGTH:
            raise self.model.DoesNotExist
        return self.get(username_key=normalised(username or ""))

    def named(self, username: str) -> "User | None":
        """The person of this name in any spelling."""
        try:
            return self.get_by_natural_key(username)
        except self.model.DoesNotExist:
            return None

    def create_user(self, username: str, email: str = "", password: str | None = None, **columns: Any) -> "User":
        """A new person, validated; a ValidationError says what is wrong."""
        user = self.model(username=username, email=self.normalize_email(email), **columns)
        user.username_key = normalised(username)
        user.set_password(password)
        if self.filter(username_key=user.username_key).exists():
            raise ValidationError(_("There is already a person called %(name)s."), params={"name": username})
        user.full_clean()
        user.save(using=self._db)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in. `username` is as typed at its creation (in NFKC), `username_key` its normalised form."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    username = models.CharField(_("username"), max_length=NAME_LENGTH, unique=True, validators=[validate_username])
    username_key = models.CharField(max_length=600, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=150, blank=True)
    email = models.EmailField(_("e-mail"), blank=True)
    user_handle = models.BinaryField(max_length=64, default=new_user_handle, unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=timezone.now)
    enrol_until = models.DateTimeField(null=True, blank=True, default=first_enrolment_end)
    last_login = None

    objects = UserManager()

    USERNAME_FIELD = "username"

    def __str__(self) -> str:
        return self.username

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.username_key = normalised(self.username)
        super().save(*args, **kwargs)

    def get_full_name(self) -> str:
        """The name to greet with."""
        return self.name or self.username

    def check_password(self, raw_password: str | None) -> bool:
        """Whether this is the password. One whose hash has other parameters than those of today is hashed anew.

        That is no change of the password: sign-ins in progress go on, and a change at the same moment is not undone, as
        Django's own way of hashing anew would.
        """
        return check_password(raw_password, self.password, self._hash_anew)

    def _hash_anew(self, raw_password: str) -> None:
        from accounts.models.sign_in import SignIn  # it imports this module

        encoded, mark = make_password(raw_password), self.password_mark()
        with transaction.atomic():
            if User.objects.filter(pk=self.pk, password=self.password).update(password=encoded) != 1:
                return
            self.password = encoded
            SignIn.objects.filter(user_id=self.pk, password_mark=mark).update(password_mark=self.password_mark())

    def password_mark(self) -> str:
        """Changes when the password does; says nothing about it."""
        return self.get_session_auth_hash()
