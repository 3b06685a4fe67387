"""The frame that every request passes: request id, host, size, headers, faults."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from structlog.contextvars import bind_contextvars, clear_contextvars

from mfa_site import faults
from mfa_site.client import request_id
from mfa_site.errors import Reason, Refused, StoreAway
from mfa_site.keyring import CannotOpen

Next = Callable[[HttpRequest], HttpResponseBase]
PROBES = ("/livez", "/readyz")
AWAY = (OperationalError, InterfaceError, CannotOpen, StoreAway)

# No inline script or style anywhere; nobody may frame us; forms go only to us.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
}


class Frame:
    """Request id, host and size checks, security headers; a store that is away becomes 503."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response
        self.headers = dict(HEADERS)
        if settings.SECURE_HSTS_SECONDS:
            self.headers["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.META["mfa_site.request_id"] = request_id(request)
        clear_contextvars()
        bind_contextvars(request_id=request.META["mfa_site.request_id"])  # stands in every log line of this request
        response = self.refused_early(request) or self.get_response(request)
        if response.status_code == 405 and not faults.for_machines(request):
            allowed, response = response["Allow"], faults.page(request, 405)
            response["Allow"] = allowed
        for name, value in self.headers.items():
            response.headers.setdefault(name, value)
        response["X-Request-ID"] = request.META["mfa_site.request_id"]
        if "Cache-Control" not in response:
            patch_cache_control(response, no_store=True)
        return response

    def refused_early(self, request: HttpRequest) -> HttpResponse | None:
        try:
            request.get_host()
        except DisallowedHost:
            if request.path not in PROBES:  # those are asked by address
                return faults.wrong_host(request)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isascii() or not length.isdigit():
            return faults.refuse(request, Refused(Reason.MALFORMED))
        uploads = request.path in settings.UPLOADS and request.content_type == "multipart/form-data"
        if int(length[:12]) > (settings.MAX_UPLOAD if uploads else settings.MAX_BODY):
            return faults.refuse(request, Refused(Reason.TOO_LARGE))
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, AWAY):
            return faults.unavailable(request, error)
        if isinstance(error, Refused):
            return faults.refuse(request, error)
        return None
