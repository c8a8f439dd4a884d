"""Fields of a mailing that are handed to the provider's adapter, if that knows them. Pure."""

import re
from enum import StrEnum

MIN_VALIDITY, MAX_VALIDITY = 60, 7 * 86_400  # seconds

# What GSM networks show: up to 11 characters, or the up to 15 digits of a number.
_SENDER_NAME = re.compile(r"[0-9]{1,15}|(?! )[A-Za-z0-9 ._&+-]{1,11}(?<! )")


class ProviderField(StrEnum):
    """A field that MAILING_PROVIDER_FIELDS may name."""

    SENDER_NAME = "sender_name"
    VALIDITY = "validity"


def parse_sender_name(given: str) -> str:
    """Return a sender name. Raises ValueError."""
    if not _SENDER_NAME.fullmatch(given):
        raise ValueError("must be up to 11 letters, digits and . _ & + - or spaces inside, or up to 15 digits")
    return given
