"""`manage.py test` runs the same suite as `make test`: pytest's."""

from typing import Any


class PytestRunner:
    """Django's test runner interface over pytest; labels are passed on as paths or node ids."""

    def __init__(self, verbosity: int = 1, failfast: bool = False, keepdb: bool = False, **kwargs: Any) -> None:
        self.verbosity, self.failfast, self.keepdb = verbosity, failfast, keepdb

    @classmethod
    def add_arguments(cls, parser: Any) -> None:
        parser.add_argument("--keepdb", action="store_true", help="keep the test database")

    def run_tests(self, test_labels: list[str], **kwargs: Any) -> int:
        """Pytest's exit code: 0 where all passed."""
        import pytest

        arguments = [*test_labels]
        if self.failfast:
            arguments.append("--exitfirst")
        if self.keepdb:
            arguments.append("--reuse-db")
        if self.verbosity > 1:
            arguments.append("-" + "v" * (self.verbosity - 1))
        return int(pytest.main(arguments))
