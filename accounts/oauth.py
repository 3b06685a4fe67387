"""The OAuth endpoints: form-encoded, errors as in RFC 6749 5.2."""

from uuid import UUID

from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.cache import patch_cache_control

from accounts import policy
from audit.events import record
from grants import access, refresh, signing
from mfa_site import api
from mfa_site.client import client

LONGEST = 4096  # characters of any parameter; an access token has about 700


def form(request: HttpRequest) -> dict[str, str] | None:
    """The form's fields; None where the body is no form, or a field came twice, with a NUL or too long."""
    if request.content_type != "application/x-www-form-urlencoded":
        return None
    try:
        fields = request.POST
    except SuspiciousOperation:
        return None
    if any(len(fields.getlist(name)) != 1 or "\0" in fields[name] or len(fields[name]) > LONGEST for name in fields):
        return None
    return {name: str(fields[name]) for name in fields}


def refused(error: str, status: int = 400) -> HttpResponse:
    """RFC 6749 5.2."""
    return JsonResponse({"error": error}, status=status)


def token(request: HttpRequest) -> HttpResponse:
    """`POST /oauth2/token` with `grant_type=refresh_token`: a new pair; a spent token ends its family."""
    fields = form(request)
    if fields is None or "grant_type" not in fields:
        return refused("invalid_request")
    if fields["grant_type"] != "refresh_token":
        return refused("unsupported_grant_type")
    if "refresh_token" not in fields:
        return refused("invalid_request")
    if fields.get("client_id", access.OWN_CLIENT) != access.OWN_CLIENT:
        return refused("invalid_client", 401)
    if "scope" in fields and fields["scope"] != access.OWN_SCOPE:
        return refused("invalid_scope")
    now = timezone.now()
    try:
        pair = refresh.rotate(fields["refresh_token"], access.OWN_CLIENT, policy.behind_a_family(), now)
    except refresh.Reused as reused:
        record("refresh_token_reused", client=client(request), person=reused.family.person, sid=reused.family.uuid)
        return refused("invalid_grant")
    return api.answer(pair.as_json(now)) if pair else refused("invalid_grant")


def revoke(request: HttpRequest) -> HttpResponse:
    """`POST /oauth2/revoke` (RFC 7009): the token's family is ended; 200 for unknown tokens too."""
    fields = form(request)
    if fields is None or "token" not in fields:
        return refused("invalid_request")
    now = timezone.now()
    family = refresh.family_of(fields["token"])
    claims = access.verify(fields["token"], now) if family is None else None
    if family:
        person, sid = family.person, family.uuid
    elif claims:
        person, sid = UUID(claims["sub"]), UUID(claims["sid"])
    else:
        return api.answer({})
    ours = fields.get("client_id", access.OWN_CLIENT) == access.OWN_CLIENT
    with transaction.atomic():
        if ours and refresh.end(Q(uuid=sid, client_id=access.OWN_CLIENT), "revoked", now):
            record("refresh_family_revoked", client=client(request), person=person, sid=sid)
    return api.answer({})


def jwks(request: HttpRequest) -> HttpResponse:
    """`GET /.well-known/jwks.json`: the public keys; caches may keep them for ten minutes."""
    signing.keys()
    response = JsonResponse(signing.published())
    patch_cache_control(response, public=True, max_age=int(signing.PUBLISHED_LIFE.total_seconds()))
    return response


def metadata(request: HttpRequest) -> HttpResponse:
    """`GET /.well-known/oauth-authorization-server` (RFC 8414)."""
    base = access.issuer()
    return JsonResponse(
        {
            "issuer": base,
            "token_endpoint": f"{base}/oauth2/token",
            "revocation_endpoint": f"{base}/oauth2/revoke",
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "scopes_supported": [access.OWN_SCOPE],
            "response_types_supported": [],
            "grant_types_supported": ["refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
        }
    )
