"""Host names under which a server may be addressed. Pure.

A page of another site can make its own name point to this server (DNS rebinding), and then the browser takes both
for one site. The name in the request's `Host` gives it away. An IP address cannot be rebound, so each is known.
"""

from collections.abc import Set as AbstractSet
from ipaddress import ip_address

LOOPBACK_NAMES = frozenset({"localhost"})
ANY = "*"


def split_names(value: object) -> object:
    """Split a setting: names with commas."""
    if not isinstance(value, str):
        return value
    return frozenset(name.strip().lower() for name in value.split(",") if name.strip()) | LOOPBACK_NAMES


def is_known_host(given: str | None, names: AbstractSet[str]) -> bool:
    """Return True if the `Host` of a request is an IP address or one of the names, with any port.

    A request without one comes from no browser.
    """
    if given is None or ANY in names:
        return True
    host = given.rpartition(":")[0] if _has_port(given) else given
    host = host.lower().rstrip(".")
    return host in names or _is_address(host.removeprefix("[").removesuffix("]"))


def _has_port(given: str) -> bool:
    port = given.rpartition(":")[2]
    return ":" in given and not given.endswith("]") and (port.isdigit() or not port)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
