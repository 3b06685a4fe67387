"""Codes that people read and type: Crockford's base 32 in groups, any case, with look-alikes put right."""

import secrets
import unicodedata

GROUP = 4  # characters that people read at a time
# No letter that looks like a digit, and no u.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LOOK_ALIKES = str.maketrans("oil", "011")
LONGEST = 200  # characters that are looked at; with every separator one can think of a code is shorter


def new(length: int, group: int = GROUP) -> str:
    """A code of so many random characters, five bits each, in groups."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(length))
    return "-".join(code[start : start + group] for start in range(0, length, group))


def clean(typed: str, length: int) -> str:
    """The code as it was made, without spaces and dashes; empty for what cannot be one of so many characters."""
    kept = (char for char in typed[:LONGEST] if not char.isspace() and unicodedata.category(char) != "Pd")
    code = "".join(kept).lower().translate(LOOK_ALIKES)
    if len(typed) > LONGEST or len(code) != length or set(code) - set(ALPHABET):
        return ""
    return code
