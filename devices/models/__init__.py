"""The tables of devices."""

from devices.models.acts import DISABLE_AT, HOLD, IN_USE, PAUSE_AT, PENDING, uuid_parameter
from devices.models.device import UNCONFIRMED_LIFE, Device, forget_pending, lock_pending
from devices.models.kind import OATH, SENT, WITH_SERIAL, Attested, Kind
from devices.models.recovery_code import RecoveryCode

__all__ = [
    "DISABLE_AT",
    "HOLD",
    "IN_USE",
    "OATH",
    "PAUSE_AT",
    "PENDING",
    "SENT",
    "UNCONFIRMED_LIFE",
    "WITH_SERIAL",
    "Attested",
    "Device",
    "Kind",
    "RecoveryCode",
    "forget_pending",
    "lock_pending",
    "uuid_parameter",
]
