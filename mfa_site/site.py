"""What this service calls itself towards authenticators."""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True)
class Site:
    """RP ID and exact origins (WebAuthn), the issuer's name in authenticator apps, and whether a security key must
    verify its holder (`required`) or need not (`discouraged`). `off`: the kinds of devices that are switched off here;
    `temporary_acr`: what a temporary code is worth; `yubico`: whether a validation server of Yubico OTPs is set."""

    rp_id: str
    origins: frozenset[str]
    issuer: str
    user_verification: str = "discouraged"
    off: frozenset[str] = frozenset()
    temporary_acr: str = "aal1"
    yubico: bool = False


def this_site() -> Site:
    """The site as configured."""
    return Site(
        settings.RP_ID,
        settings.RP_ORIGINS,
        settings.RP_NAME,
        settings.USER_VERIFICATION,
        off=settings.KINDS_OFF,
        temporary_acr=settings.TEMPORARY_ACR,
        yubico=bool(settings.YUBICO_URL),
    )
