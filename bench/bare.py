"""What we compare with: a view that does nothing, a hand-made TOTP step with raw SQL that does the same safety work as
ours (open the seed, verify, conditional UPDATE, audit row, one commit), and django-otp's own verification."""

import base64
import hmac
import json
import os
import sys
import time
import uuid
from hashlib import sha256

import django
import pyotp
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # of every device here
CIPHER, KEY, NONCE = AESGCM(bytes(32)), bytes(32), bytes(12)

TAKE = "SELECT id, secret FROM bench_floor WHERE id = %s"
SPEND = "UPDATE bench_floor SET counter = %s, last_used = CURRENT_TIMESTAMP WHERE id = %s AND counter < %s"
TELL = "INSERT INTO bench_floor_audit (id, at, act, device, mac) VALUES (%s, CURRENT_TIMESTAMP, 'used', %s, %s)"


def trivial(request: HttpRequest) -> HttpResponse:
    """Nothing."""
    return JsonResponse({"ok": True})


@csrf_exempt
def floor(request: HttpRequest) -> HttpResponse:
    """A right code, used up and written down."""
    given = json.loads(request.body)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TAKE, [given["device"]])
        row, sealed = cursor.fetchone()
        totp, step = pyotp.TOTP(CIPHER.decrypt(NONCE, bytes(sealed), str(row).encode()).decode()), int(time.time()) // 30
        found = next((n for n in (step, step - 1, step + 1) if hmac.compare_digest(totp.at(n * 30), given["answer"])), 0)
        cursor.execute(SPEND, [found, row, found])
        if cursor.rowcount != 1:
            return JsonResponse({"ok": False}, status=401)
        event = uuid.uuid4()
        cursor.execute(TELL, [event.hex, row, hmac.digest(KEY, event.bytes, sha256).hex()])
    return JsonResponse({"ok": True})


@csrf_exempt
def django_otp(request: HttpRequest) -> HttpResponse:
    """django-otp's own way: the row locked, `verify_token`, saved."""
    from django_otp.plugins.otp_totp.models import TOTPDevice

    given = json.loads(request.body)
    with transaction.atomic():
        right = TOTPDevice.objects.select_for_update().get(pk=given["device"]).verify_token(given["answer"])
    return JsonResponse({"ok": right}, status=200 if right else 401)


urlpatterns = [path("trivial", trivial), path("floor", floor), path("django-otp", django_otp)]


def prepare(count: int) -> None:
    """Tables and devices, as many for the floor as for django-otp, numbered from 1."""
    from django.core.management import call_command

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_floor_audit (id text PRIMARY KEY, at timestamp, act text, device int, mac text)")
    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import User
    from django_otp.plugins.otp_totp.models import TOTPDevice

    user = User.objects.create(username="bench")
    key = base64.b32decode(SEED).hex()
    TOTPDevice.objects.bulk_create([TOTPDevice(user=user, name=str(n), key=key) for n in range(1, count + 1)], 1000)
    rows = [(n, CIPHER.encrypt(NONCE, SEED.encode(), str(n).encode())) for n in range(1, count + 1)]
    binary = "bytea" if connection.vendor == "postgresql" else "blob"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE bench_floor (id int PRIMARY KEY, secret {binary}, counter bigint, last_used timestamp)")
        cursor.executemany("INSERT INTO bench_floor (id, secret, counter) VALUES (%s, %s, -1)", rows)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.bare_settings"
    django.setup()
    prepare(int(sys.argv[1]))
