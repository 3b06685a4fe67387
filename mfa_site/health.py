"""Probes: `/livez` says that the process answers, `/readyz` that it can do its work."""

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from mfa_site import keyring


def livez(request: HttpRequest) -> HttpResponse:
    """200 while the process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and the keyring opens what it sealed, else 503 from the frame."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    canary = keyring.seal(b"canary", "health", "canary", 0)
    keyring.unseal(canary, "health", "canary", 0)
    return JsonResponse({"database": "ok", "keyring": "ok"})
