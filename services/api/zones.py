"""The IANA time zones there are: those of the `tzdata` package, so the same on every machine.

(`zoneinfo.available_timezones()` adds what the host happens to have, such as `localtime`.)
"""

from functools import cache
from importlib.resources import files

# In the list, but a placeholder for "not set up yet".
_NO_PLACE = {"Factory"}


@cache
def known_zones() -> frozenset[str]:
    """Every name, as IANA spells it."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split()) - _NO_PLACE


def parse_zone(given: str) -> str:
    """The zone itself. Raises ValueError if there is none of that name."""
    # Looked up in a set, never on disk: `../../etc/passwd` is just another unknown name.
    if given not in known_zones():
        raise ValueError("is not a known IANA time zone; they look like 'Europe/Moscow'")
    return given
