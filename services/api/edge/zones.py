"""Time zones by their IANA names."""

from typing import Annotated

from pydantic import AfterValidator, Field

from shared.zones import known_zones


def parse_zone(given: str) -> str:
    """Return the zone's name. Raises ValueError if no zone has this name."""
    if given not in known_zones():
        raise ValueError("is not a known IANA time zone; they look like 'Europe/Moscow'")
    return given


Zone = Annotated[str, AfterValidator(parse_zone), Field(description="An IANA time zone, such as `Europe/Moscow`.")]
