"""What the devices of a group's people have to be: one row a group, and one without a group for everybody."""

from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mfa_site.proof import ACR


class Attestation(models.TextChoices):
    """What a security key has to have proven when it was added, least first."""

    ANY = "any", _("Any key, proven or not")
    LISTED = "listed", _("Only the models chosen below, proven by attestation")
    CERTIFIED = "certified", _("Only models certified by FIDO or of a trusted maker, proven by attestation")


class GroupPolicy(models.Model):
    """`accounts.rules` says what follows from the columns, and `accounts.changing_policy` changes them, one version after the
    other."""

    group = models.OneToOneField(Group, null=True, on_delete=models.PROTECT, related_name="policy")
    weakest_acr = models.CharField(max_length=8, default=ACR[0])
    kinds = models.JSONField(null=True)  # None: all; SMS and e-mail have columns of their own
    attestation = models.CharField(max_length=10, choices=Attestation, default=Attestation.ANY)
    key_models = models.JSONField(default=list)  # AAGUIDs of the listed ones
    sms = models.BooleanField(default=True)
    email = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            # One-to-one alone would let several rows be everybody's.
            models.UniqueConstraint(Coalesce("group", Value(0)), name="policy_one_each"),
            models.CheckConstraint(name="policy_acr", condition=Q(weakest_acr__in=ACR)),
            models.CheckConstraint(name="policy_attestation", condition=Q(attestation__in=Attestation.values)),
        ]

    def __str__(self) -> str:
        return self.group.name if self.group else "everybody"
