"""Recipients of e-mail, as the settings name them. Pure."""

import re
from dataclasses import dataclass

from shared.translation import LANGUAGES

# Plain addresses only: nothing in one can begin another header or another recipient.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Recipient:
    """E-mail address, and the language of what is sent to it; None for the language of all reports."""

    address: str
    language: str | None = None


def parse_recipients(given: str) -> tuple[Recipient, ...]:
    """Parse `anna@example.org, boris@example.org:ru`. Raises ValueError."""
    return tuple(_parse(part.strip()) for part in given.split(",") if part.strip())


def check_address(address: str) -> str:
    """Return the address. Raises ValueError if it is none."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} is no e-mail address")
    return address


def _parse(part: str) -> Recipient:
    address, separator, language = part.partition(":")
    if separator and language not in LANGUAGES:
        raise ValueError(f"{language!r} is no language of ours: {', '.join(LANGUAGES)}")
    return Recipient(check_address(address), language or None)
