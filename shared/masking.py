"""Masking of phone numbers for logs, the audit and viewers. Pure."""


def masked(number: int | str) -> str:
    """Return a phone number as it may be shown: 79057003050 becomes 7905*****50."""
    digits = str(number)
    return f"{digits[:4]}*****{digits[-2:]}"
