"""Origin of a request that changes something: pages of other sites must not send it. Pure."""

from collections.abc import Mapping
from urllib.parse import urlsplit

_READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_same_origin(method: str, headers: Mapping[str, str]) -> bool:
    """Return True if the request only reads, or comes from a page of this site, or from no browser.

    Browsers set Sec-Fetch-Site or Origin on a request of a page, and pages cannot change them. Programs set
    neither. `headers` finds names in small letters.
    """
    if method in _READING_METHODS:
        return True
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
