"""Phone numbers and mail addresses."""


def phone(text: str) -> str:
    """The phone number in E.164."""
    return text


def mail(text: str) -> str:
    """The mail address."""
    return text


def masked(address: str) -> str:
    """So much of it that its owner knows it again."""
    return address[:3]
