"""Password hashing with the parameters decided for this service."""

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2id(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes, one lane: OWASP's floor, so that many workers fit into memory."""

    memory_cost = 19_456
    time_cost = 2
    parallelism = 1

    def must_update(self, encoded: str) -> bool:
        """Whether the hash has other parameters; never in DEMO, where load tests keep their cheap ones."""
        return not settings.DEMO and bool(super().must_update(encoded))


class CheapForLoadTests(Argon2id):
    """The same format at next to no cost, for the people of `seed_demo --people` in DEMO only."""

    memory_cost = 8
    time_cost = 1
