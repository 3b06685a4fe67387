"""One exception for every refusal. The log and the audit get the reason, the client the status and code of it."""

import enum
from typing import Any


class Reason(enum.Enum):
    """Why something was refused: its name goes to log and audit, HTTP `status` and API `code` to the client."""

    status: int
    code: str

    def __new__(cls, status: int, code: str) -> "Reason":
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)  # members with the same status and code stay apart
        member.status, member.code = status, code
        return member

    MALFORMED = 400, "malformed"
    UNKNOWN_FIELD = 400, "unknown_field"
    NOT_SIGNED_IN = 401, "not_signed_in"
    BAD_CREDENTIALS = 401, "bad_credentials"
    SIGN_IN_OVER = 401, "sign_in_over"
    STEP_UP_NEEDED = 401, "step_up_needed"
    ANSWER_USED = 401, "answer_used"
    RECOVERY_CODE_USED = 401, "answer_used"
    TEMPORARY_CODE_USED = 401, "answer_used"
    CSRF_FAILED = 403, "csrf_failed"
    NOT_PERMITTED = 403, "not_permitted"
    NOT_FOUND = 404, "not_found"
    METHOD_NOT_ALLOWED = 405, "method_not_allowed"
    DEVICE_NOT_USABLE = 409, "device_not_usable"
    BLOCKED_BY_POLICY = 409, "device_not_usable"
    KIND_BLOCKED_BY_POLICY = 409, "device_not_usable"
    KEY_NOT_ATTESTED = 409, "device_not_usable"
    LAST_DEVICE = 409, "last_device"
    STRANDED = 409, "last_device"
    WRONG_STATE = 409, "wrong_state"
    TOO_MANY_DEVICES = 409, "wrong_state"
    NO_CHALLENGE = 409, "no_challenge"
    TOO_LARGE = 413, "too_large"
    UNSUPPORTED_MEDIA_TYPE = 415, "unsupported_media_type"
    TOO_MANY_ATTEMPTS = 429, "too_many_attempts"
    INTERNAL_ERROR = 500, "internal_error"
    UNAVAILABLE = 503, "unavailable"
    NOT_SENT = 503, "unavailable"

    # A wrong answer is one code outside; inside, the reason tells which check refused it.
    CODE_NOT_DIGITS = 401, "wrong_answer"
    CODE_LENGTH = 401, "wrong_answer"
    CODE_LOOKS_LIKE_YUBIKEY = 401, "wrong_answer"
    CODE_WRONG = 401, "wrong_answer"
    CODE_NOT_OF_SET = 401, "wrong_answer"
    CODE_NOT_TEMPORARY = 401, "wrong_answer"
    CODE_SENT_WRONG = 401, "wrong_answer"
    CODE_OUT_OF_SYNC = 401, "wrong_answer"
    CODES_NOT_CONSECUTIVE = 401, "wrong_answer"
    CODES_NOT_OF_SERIAL = 401, "wrong_answer"
    CODE_NO_YUBICO_OTP = 401, "wrong_answer"
    CODE_OTHER_YUBIKEY = 401, "wrong_answer"
    ASSERTION_UNREADABLE = 401, "wrong_answer"
    ASSERTION_TYPE = 401, "wrong_answer"
    ASSERTION_CHALLENGE = 401, "wrong_answer"
    ASSERTION_ORIGIN = 401, "wrong_answer"
    ASSERTION_CROSS_ORIGIN = 401, "wrong_answer"
    ASSERTION_RP_ID = 401, "wrong_answer"
    ASSERTION_NO_PRESENCE = 401, "wrong_answer"
    ASSERTION_NOT_VERIFIED = 401, "wrong_answer"
    ASSERTION_BACKUP_FLAGS = 401, "wrong_answer"
    ASSERTION_BACKUP_CHANGED = 401, "wrong_answer"
    ASSERTION_SIGNATURE = 401, "wrong_answer"
    ASSERTION_COUNTER = 401, "wrong_answer"
    ASSERTION_USER_HANDLE = 401, "wrong_answer"
    CREDENTIAL_UNKNOWN = 401, "wrong_answer"
    CREDENTIAL_ID = 401, "wrong_answer"
    CREDENTIAL_TAKEN = 401, "wrong_answer"
    CREDENTIAL_ALGORITHM = 401, "wrong_answer"
    CREDENTIAL_KEY = 401, "wrong_answer"

    @property
    def is_wrong_answer(self) -> bool:
        """Whether it counts as a failure of the device."""
        return self.code == "wrong_answer"


AWAY = 5  # seconds until what is away may be there again


class StoreAway(Exception):
    """A store beside the database does not answer; what needs it is refused with 503."""


class Refused(Exception):
    """What was asked is refused for `reason`; `facts` fill in the sentence that the person reads. `retry_after`: seconds."""

    def __init__(self, reason: Reason, *, retry_after: int | None = None, **facts: Any) -> None:
        super().__init__(reason.name)
        self.reason, self.facts = reason, facts
        self.retry_after = AWAY if retry_after is None and reason.code == "unavailable" else retry_after
