"""Probes: `/livez` says that the process answers, `/readyz` that it can do its work."""

from django.http import HttpRequest, HttpResponse, JsonResponse

from mfa_site import counters, keyring


def livez(request: HttpRequest) -> HttpResponse:
    """200 while the process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and the keyring opens the key that is stored there, and the store of
    counts answers too; else 503 from the frame."""
    keyring.stored(keyring.MAC)
    counters.store().ping()
    return JsonResponse({"database": "ok", "cache": "ok", "keyring": "ok"})
