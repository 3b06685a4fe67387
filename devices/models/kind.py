"""The kinds of devices."""

from django.db import models


class Kind(models.TextChoices):
    """The closed set of kinds; `devices.kinds` has a module for each."""

    TOTP = "totp", "TOTP"
    HOTP = "hotp", "HOTP"
    SMS = "sms", "SMS"
    EMAIL = "email", "E-mail"
    FIDO2 = "fido2", "FIDO2"
    YUBIOTP = "yubiotp", "Yubico OTP"
    RECOVERY = "recovery", "Recovery codes"
    TEMPORARY = "temporary", "Temporary code"


class Attested(models.TextChoices):
    """What a security key's attestation proved when it was added (`devices.attestation`)."""

    MODEL = "model", "Of the model that it says"
    CERTIFIED = "certified", "Of a certified model or a trusted maker"


OATH = (Kind.TOTP, Kind.HOTP)  # codes that follow from a seed and a moving factor of the device's own
SENT = (Kind.SMS, Kind.EMAIL)  # codes that we send
WITH_SERIAL = (*OATH, Kind.YUBIOTP)  # hardware that comes in boxes, with a seed file
