"""Every ceremony in progress is a row: a sign-in, a step-up, an enrolment.

| state              | event                  | next      |
|--------------------|------------------------|-----------|
| -                  | password right         | WAITING, or ENROLLING for an account that never had a device, or by invitation |
| -                  | step-up, test begun    | WAITING   |
| WAITING            | choose a device        | WAITING, with a new challenge |
| WAITING            | right answer           | FINISHED  |
| WAITING            | right answer, invited  | ENROLLING |
| ENROLLING          | device activated       | FINISHED  |
| WAITING, ENROLLING | wrong answer           | same; at the fifth REFUSED |
| WAITING, ENROLLING | cancel                 | REFUSED   |
| FINISHED, REFUSED, expired | anything       | same      |

Until FINISHED nobody is logged in. Expiry is a comparison, not a state.
"""

import json
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection, models
from django.db.models import F, Q, QuerySet

from mfa_site.client import Client

if TYPE_CHECKING:
    from accounts.models.user import User

LIFE = timedelta(minutes=5)  # since the last choice of a device
LONGEST = timedelta(minutes=10)  # in all; NIST SP 800-63B-4 asks for no more
WRONG_ANSWERS = 5  # then the password has to be proven again

# In every sign-in; by hand, since composing it costs four times as much as running it.
FINISH = (
    "UPDATE accounts_signin SET state = 'finished', methods = %s, kept = '' WHERE id = %s AND state = %s AND expires_at > %s"
    " AND wrong < %s AND EXISTS (SELECT 1 FROM accounts_user u"
    " WHERE u.id = accounts_signin.user_id AND u.is_active AND u.password = %s"
)


class SignIn(models.Model):
    """One ceremony. `kept` is the challenge for `device`; `started_by` the session or family of a signed-in person. With an
    `invitation` it ends in a device that this lets pass, and in no other way."""

    class Purpose(models.TextChoices):
        """What it is for."""

        SIGN_IN = "sign_in"
        STEP_UP = "step_up"
        ENROL = "enrol"
        TEST = "test"

    class State(models.TextChoices):
        """Where it stands."""

        WAITING = "waiting"
        ENROLLING = "enrolling"
        FINISHED = "finished"
        REFUSED = "refused"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    handle_hash = models.CharField(max_length=64, null=True, unique=True)
    purpose = models.CharField(max_length=8, choices=Purpose)
    state = models.CharField(max_length=10, choices=State)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE)
    device = models.ForeignKey("devices.Device", null=True, on_delete=models.SET_NULL)
    kept = models.TextField(blank=True)
    wrong = models.PositiveSmallIntegerField(default=0)
    methods = models.JSONField(default=list)
    password_mark = models.CharField(max_length=128, blank=True)
    started_by = models.UUIDField(null=True)
    invitation = models.ForeignKey("accounts.Invitation", null=True, on_delete=models.CASCADE)
    next = models.CharField(max_length=500, blank=True)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.purpose} {self.uuid}"

    @classmethod
    def begin(cls, purpose: Purpose, user: "User", client: Client, now: datetime, **columns: Any) -> "SignIn":
        """The ceremony is in the database, WAITING unless told otherwise, with the password as it is now, for LIFE."""
        return cls.objects.create(
            purpose=purpose,
            user=user,
            password_mark=user.password_mark(),
            address=client.address,
            user_agent=client.user_agent,
            created_at=now,
            expires_at=now + LIFE,
            **{"state": cls.State.WAITING, **columns},
        )

    @property
    def person(self) -> "User":
        """Whose it is; the column is nullable only for sign-ins that will begin with a key."""
        assert self.user is not None
        return self.user

    @property
    def is_step_up(self) -> bool:
        """Whether it refreshes the proof of a session or family that exists, `started_by`."""
        return self.purpose == self.Purpose.STEP_UP

    @property
    def is_test(self) -> bool:
        """Whether it tries out one device, and nothing follows from it."""
        return self.purpose == self.Purpose.TEST

    def is_open(self, now: datetime) -> bool:
        """Whether it still waits for an answer."""
        return self.state in (self.State.WAITING, self.State.ENROLLING) and now < self.expires_at

    def _open(self, now: datetime) -> "QuerySet[SignIn]":
        return SignIn.objects.filter(pk=self.pk, state=self.state, expires_at__gt=now)

    def choose(self, device_id: int, kept: str, now: datetime) -> bool:
        """The device's challenge is kept in place of any other, and the row lives on for a while; False if it is over."""
        self.expires_at = min(now + LIFE, self.created_at + LONGEST)
        self.kept, self.device_id = kept, device_id
        changed = self._open(now).update(device_id=device_id, kept=kept, expires_at=self.expires_at)
        return changed == 1

    def take(self, now: datetime) -> bool:
        """The kept challenge is gone, and this caller alone has it; False if another was faster."""
        return self._open(now).filter(~Q(kept=""), kept=self.kept, device=self.device_id).update(kept="") == 1

    def count_wrong(self, now: datetime) -> bool:
        """One wrong answer more; the fifth refuses the ceremony. True if it did."""
        self._open(now).update(wrong=F("wrong") + 1)
        return self._open(now).filter(wrong__gte=WRONG_ANSWERS).update(state=self.State.REFUSED, kept="") == 1

    def go_on_to_enrol(self, methods: list[str], now: datetime) -> bool:
        """ENROLLING, after the answer that an invitation asked for; False if it is over."""
        waiting = self._open(now).filter(state=self.State.WAITING, wrong__lt=WRONG_ANSWERS)
        return waiting.update(state=self.State.ENROLLING, methods=methods, device=None, kept="") == 1

    def finish(self, methods: list[str], now: datetime) -> bool:
        """FINISHED, won by this caller alone, if the person is still active and has the same password; else False."""
        # The person's row is locked by it, so that whoever changes the password at this moment waits and then ends what this
        # caller opened, or this caller waits and then finds the other password.
        lock = " FOR NO KEY UPDATE" if connection.features.has_select_for_update else ""
        moment = connection.ops.adapt_datetimefield_value(now)
        with connection.cursor() as cursor:
            guards: list[Any] = [self.pk, self.state, moment, WRONG_ANSWERS, self.person.password]
            cursor.execute(FINISH + lock + ")", [json.dumps(methods), *guards])
            return bool(cursor.rowcount == 1)

    @classmethod
    def refuse_all(cls, user: "User", now: datetime) -> None:
        """Every ceremony of the person that is in progress is REFUSED."""
        in_progress = cls.objects.filter(user=user, state__in=(cls.State.WAITING, cls.State.ENROLLING), expires_at__gt=now)
        in_progress.update(state=cls.State.REFUSED, kept="")

    def refuse(self, now: datetime) -> bool:
        """REFUSED, by the person's own wish; False if it was over already."""
        return self._open(now).update(state=self.State.REFUSED, kept="") == 1
