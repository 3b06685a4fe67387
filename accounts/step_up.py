"""Step-up: a signed-in person proves the second factor once more, on top of what was proven before.

It is a ceremony like a sign-in and is answered through the same functions (`signin.choose`, `signin.answer`), but only
by the session or refresh family that began it. That session or family stays, and stands for the new proof from then on:
its strength is what was proven now, never what was proven once.
"""

import secrets
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import SignIn, User
from audit.events import record
from mfa_site.client import Client
from mfa_site.keyring import token_hash
from mfa_site.proof import RequestProof

A_WHILE = timedelta(minutes=2)  # enough to find a device and answer
FIRST_FACTORS = ("pwd",)  # what stays proven from the sign-in; the device is proven anew


def in_progress(proof: RequestProof, next: str, now: datetime) -> SignIn | None:
    """The open step-up of this session for the same page, if it lives for a while yet."""
    mine = SignIn.objects.filter(purpose=SignIn.Purpose.STEP_UP, state=SignIn.State.WAITING, started_by=proof.sid, next=next)
    return mine.filter(expires_at__gt=now + A_WHILE).order_by("-id").first()


def begin(user: User, proof: RequestProof, client: Client, now: datetime, next: str = "") -> tuple[SignIn, str]:
    """A step-up waits for one of the person's devices: the row, and the secret handle by which an API client answers it."""
    handle = secrets.token_urlsafe(32)
    with transaction.atomic():
        step_up = SignIn.begin(
            SignIn.Purpose.STEP_UP,
            user,
            client,
            now,
            handle_hash=token_hash(handle),
            methods=[method for method in proof.amr if method in FIRST_FACTORS],
            started_by=proof.sid,
            next=next,
        )
        record("step_up_begun", client=client, person=user.uuid, sid=proof.sid)
    return step_up, handle
