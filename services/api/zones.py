"""Time zones as callers name them."""

from shared.zones import known_zones


def parse_zone(given: str) -> str:
    """The zone itself. Raises ValueError if there is none of that name."""
    if given not in known_zones():
        raise ValueError("is not a known IANA time zone; they look like 'Europe/Moscow'")
    return given
