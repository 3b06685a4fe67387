"""What this service calls itself towards authenticators."""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True)
class Site:
    """RP ID and exact origins (WebAuthn), the issuer's name in authenticator apps, and whether a security key must
    verify its holder (`required`) or need not (`discouraged`)."""

    rp_id: str
    origins: frozenset[str]
    issuer: str
    user_verification: str = "discouraged"


def this_site() -> Site:
    """The site as configured."""
    return Site(settings.RP_ID, settings.RP_ORIGINS, settings.RP_NAME, settings.USER_VERIFICATION)
