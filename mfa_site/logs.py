"""Log lines: plain text for people, JSON for machines. No line carries a secret; fido2's own would carry credential ids."""

import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured

CODE_IN_PATH = re.compile(r"(?i)(/password/+reset/).*")

LOGGING_COMMANDS = ("worker", "runserver", "verify_audit", "test")  # whatever they run in, what they say is wanted


def by_hand() -> bool:
    """Whether this is a command whose operator reads it in a terminal: it keeps no log, and audit lines hide the rest."""
    program, command = [*sys.argv, "", ""][:2]
    return Path(program).name == "manage.py" and command not in LOGGING_COMMANDS and sys.stderr.isatty()


def without_codes(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The line without the codes of password links: Django logs the path of whatever it refuses."""
    return {name: CODE_IN_PATH.sub(r"\1…", value) if isinstance(value, str) else value for name, value in line.items()}


def config(log_format: str) -> dict[str, Any]:
    """Django's LOGGING for `text` or `json`, one line a record, line breaks inside escaped."""
    if log_format not in ("text", "json"):
        raise ImproperlyConfigured(f"MFA_SITE_LOG_FORMAT is {log_format!r}; it can be text or json.")
    renderer = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "logger", "event"])
    )
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=["request_id", "reason", "status_code", "audit_id", "seal", "head", "key"]),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, without_codes, renderer],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            # At INFO it logs credential ids.
            "fido2": {"level": "WARNING"},
            "django": {"level": "INFO"},
            "audit": {"level": "WARNING" if by_hand() else "INFO"},
            # A line for each look into the queue, and for each task; what becomes of a code is logged by who sends it.
            "django_tasks": {"level": "WARNING"},
            "django_tasks_db": {"level": "WARNING"},
        },
    }
