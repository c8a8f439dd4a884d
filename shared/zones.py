"""The IANA time zones there are: those of the `tzdata` package, so the same on every machine.

(`zoneinfo` alone prefers the host's own files, and `zoneinfo.available_timezones()` adds what the host happens to
have, such as `localtime`.)
"""

from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

# In the list, but a placeholder for "not set up yet".
_NO_PLACE = {"Factory"}


@cache
def known_zones() -> frozenset[str]:
    """Every name, as IANA spells it."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split()) - _NO_PLACE


@lru_cache(maxsize=2048)
def find_zone(name: str) -> ZoneInfo | None:
    """The zone of that name; None if there is none (any more)."""
    # Looked up in a set first: `../../etc/passwd` is just another unknown name.
    if name not in known_zones():
        return None
    with (files("tzdata") / "zoneinfo" / name).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
