"""Whose the tokens of a file are to be."""

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts import handing_out
from accounts.enrolment import MOST_DEVICES
from accounts.models import User
from accounts.models.user import NAME_LENGTH, normalised
from desk.gate import is_higher, may
from devices.lifecycle import State
from devices.models import Device
from devices.seed_files import BadFile, Why
from mfa_site.client import Client
from mfa_site.errors import Refused


class People:
    """Finds those that a file names, and counts whom it gives how many devices.

    `giver`: the administrator who brings the file, who gives nobody a token to whom he could not hand it out otherwise: he
    knows its key. None for the operator.
    """

    def __init__(self, giver: User | None) -> None:
        self.giver = giver
        self.room: dict[int, int] = {}

    def find(self, name: str) -> int | Why:
        """The key of the one active person of this name or mail address who may have one device more; it is counted."""
        if len(name) > NAME_LENGTH:
            return Why.OWNER_UNKNOWN
        active = User.objects.filter(is_active=True)
        found = list(active.filter(username_key=normalised(name))) or list(active.filter(email__iexact=name)[:2])
        if len(found) != 1:
            return Why.OWNER_UNKNOWN
        [person] = found
        if self.giver is not None and not self._may_give(self.giver, person):
            return Why.OWNER_NOT_YOURS
        if person.pk not in self.room:
            self.room[person.pk] = MOST_DEVICES - Device.objects.filter(user=person).exclude(state=State.RETIRED).count()
        self.room[person.pk] -= 1
        return person.pk if self.room[person.pk] >= 0 else Why.OWNER_UNKNOWN

    @staticmethod
    def _may_give(giver: User, person: User) -> bool:
        """Where another has to approve each token of an administrator, none comes with a file."""
        alone = not (person.is_staff and "administrators" in settings.FOUR_EYES)
        return alone and may(giver, "hand_out_token") and not is_higher(giver, person)


def hander(client: Client, actor: UUID) -> Callable[[Device, int], None]:
    """What hands a token in stock out to a person; it raises BadFile if they cannot have it any more."""

    def hand_out(device: Device, person: int) -> None:
        try:
            handing_out.hand_out(device, User.objects.get(pk=person), client, timezone.now(), actor=actor)
        except (Refused, User.DoesNotExist):
            raise BadFile(Why.FILE_CHANGED) from None

    return hand_out
