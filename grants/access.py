"""Access tokens: JWTs of the profile in RFC 9068, signed ES256, five minutes long."""

import re
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from joserfc import jws, jwt
from joserfc.errors import JoseError

from grants.models import RefreshFamily
from grants.signing import keys

LIFE = timedelta(minutes=5)  # how long a token may outlive the end of its family
OWN_CLIENT = "mfa-site"
OWN_SCOPE = "account"
TYP = "at+jwt"
ALGORITHMS = ["ES256"]
SKEW = 5  # seconds between our own hosts; others may allow up to 60
COMPACT = re.compile(r"\A[A-Za-z0-9_-]{1,2000}\.[A-Za-z0-9_-]{1,4000}\.[A-Za-z0-9_-]{86}\Z")
HEADER = {"alg", "kid", "typ"}


def issuer() -> str:
    """`iss` of every token: the base URL."""
    return str(settings.BASE_URL)


def issue(family: RefreshFamily, now: datetime) -> str:
    """A signed access token with what the family's sign-in proved."""
    issued = int(now.timestamp())
    claims = {
        "iss": issuer(),
        "sub": str(family.person),
        "aud": family.audience,
        "exp": issued + int(LIFE.total_seconds()),
        "iat": issued,
        "jti": uuid.uuid4().hex,
        "client_id": family.client_id,
        "scope": family.scope,
        "auth_time": int(family.auth_time.timestamp()),
        "amr": family.amr,
        "acr": family.acr,
        "sid": str(family.uuid),
    }
    ours = keys()
    header = {"typ": TYP, "alg": ours.algorithm, "kid": ours.current.kid}
    return jwt.encode(header, claims, ours.current, algorithms=ALGORITHMS)


def verify(token: str, now: datetime) -> dict[str, Any] | None:
    """The claims of a token that we issued for ourselves and that is still valid; None for anything else.

    Pinned beyond the signature: ES256, `typ`, no other header than ours, a known kid, `iss`, `aud`, `exp`, `iat`.
    """
    if not COMPACT.match(token):
        return None
    try:
        header = jws.extract_compact(token.encode()).headers()
        if set(header) != HEADER or header["typ"] != TYP or header["alg"] not in ALGORITHMS:
            return None
        kid = header["kid"]
        if not isinstance(kid, str) or kid not in keys(kid).kids:
            return None
        claims = jwt.decode(token, keys().public, algorithms=ALGORITHMS).claims
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return claims if _is_for_us(claims, now) else None


def _is_for_us(claims: dict[str, Any], now: datetime) -> bool:
    moment = now.timestamp()
    times_are_numbers = all(type(claims.get(name)) is int for name in ("exp", "iat", "auth_time"))
    ours = claims.get("iss") == issuer() and claims.get("aud") == issuer() and claims.get("client_id") == OWN_CLIENT
    return ours and times_are_numbers and claims["iat"] - SKEW <= moment < claims["exp"]
