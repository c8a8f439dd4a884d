"""IANA time zones of the `tzdata` package, which are the same on every machine.

`zoneinfo` alone prefers the host's files, and `zoneinfo.available_timezones()` adds entries of the host such as
`localtime`.
"""

from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

# Listed, but a placeholder for a host whose zone is not set.
_NO_PLACE = {"Factory"}


@cache
def known_zones() -> frozenset[str]:
    """Return every zone name as IANA spells it."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split()) - _NO_PLACE


@lru_cache(maxsize=2048)
def find_zone(name: str) -> ZoneInfo | None:
    """Return the zone of that name, or None if tzdata does not have it."""
    # The set comes first, so that `../../etc/passwd` is just an unknown name and never a path.
    if name not in known_zones():
        return None
    with (files("tzdata") / "zoneinfo" / name).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
