"""Codes that people read and type: Crockford's base 32 in groups, any case, with look-alikes put right."""

import base64
import secrets
import unicodedata

GROUP = 4  # characters that people read at a time
# No letter that looks like a digit, and no u.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TO_OURS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET)
LOOK_ALIKES = str.maketrans("oil", "011")
LONGEST = 200  # characters that are looked at; with every separator one can think of a code is shorter


def new(size: int) -> str:
    """A code of so many random bytes (a multiple of five), in groups."""
    code = base64.b32encode(secrets.token_bytes(size)).decode().translate(TO_OURS)
    return "-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))


def clean(typed: str, size: int) -> str:
    """The code as it was made, without spaces and dashes; empty for what cannot be one of so many bytes."""
    kept = (char for char in typed[:LONGEST] if not char.isspace() and unicodedata.category(char) != "Pd")
    code = "".join(kept).lower().translate(LOOK_ALIKES)
    if len(typed) > LONGEST or len(code) != size * 8 // 5 or set(code) - set(ALPHABET):
        return ""
    return code
