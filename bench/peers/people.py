"""The people and tokens of what we compare with: run in `bench/.venv-peers`, with the settings beside it."""

import sys
from datetime import timedelta

import django

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # of every app here
PASSWORD = "only for the bench"  # noqa: S105
ASKING = "resource-server"


def name(hasher: str, number: int) -> str:
    """The person's name: `pbkdf2-000001` …"""
    return f"{hasher}-{number:06d}"


def token(number: int) -> str:
    """An access token of django-oauth-toolkit."""
    return f"token-{number:06d}-{'x' * 17}"  # as long as its own


def prepare(many: int, few: int) -> None:
    """`many` people with a cheap hash and a token to introspect each, `few` with Django's default hash; all have an app."""
    from django.contrib.auth.hashers import MD5PasswordHasher, make_password
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    add_people("md5", many, MD5PasswordHasher().encode(PASSWORD, "1" * 22))
    add_people("pbkdf2", few, make_password(PASSWORD))
    add_tokens(many)


def add_people(hasher: str, count: int, hashed: str) -> None:
    """People with a confirmed address and an app each."""
    from allauth.account.models import EmailAddress
    from allauth.mfa.models import Authenticator
    from django.contrib.auth.models import User

    names = [name(hasher, number) for number in range(1, count + 1)]
    users = User.objects.bulk_create([User(username=n, email=f"{n}@example.org", password=hashed) for n in names], 1000)
    EmailAddress.objects.bulk_create([EmailAddress(user=u, email=u.email, verified=True, primary=True) for u in users], 1000)
    Authenticator.objects.bulk_create([Authenticator(user=u, type="totp", data={"secret": SEED}) for u in users], 1000)


def add_tokens(count: int) -> None:
    """Access tokens of people, and one that may ask about them."""
    from django.contrib.auth.models import User
    from django.utils import timezone
    from oauth2_provider.models import AccessToken, Application

    program = Application.objects.create(
        name="bench", client_type="confidential", authorization_grant_type="client-credentials"
    )
    until, users = timezone.now() + timedelta(days=1), User.objects.order_by("pk")[:count]
    about = {"application": program, "expires": until}
    given = [AccessToken(user=u, token=token(n), scope="read", **about) for n, u in enumerate(users, 1)]
    AccessToken.objects.bulk_create([*given, AccessToken(token=ASKING, scope="introspection", **about)], 1000)


if __name__ == "__main__":
    django.setup()
    prepare(*map(int, sys.argv[1:]))
