"""Password hashing with the parameters decided for this service."""

import threading

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

AT_ONCE = threading.BoundedSemaphore(4)  # of 19 MiB each, in one process; more would only compete for the processors


class Argon2id(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes, one lane: OWASP's floor. Four run at once, the others wait their turn."""

    memory_cost = 19_456
    time_cost = 2
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        """The hash of a new password."""
        with AT_ONCE:
            return str(super().encode(password, salt))

    def verify(self, password: str, encoded: str) -> bool:
        """Whether the password is the one that was hashed."""
        with AT_ONCE:
            return bool(super().verify(password, encoded))

    def must_update(self, encoded: str) -> bool:
        """Whether the hash has other parameters; never in DEMO, where load tests keep their cheap ones."""
        return not settings.DEMO and bool(super().must_update(encoded))


class CheapForLoadTests(Argon2id):
    """The same format at next to no cost, for the people of `seed_demo --people` in DEMO only."""

    memory_cost = 8
    time_cost = 1
