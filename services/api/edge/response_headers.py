"""Headers that every answer carries: the request's id, and limits for browsers that show an answer."""

from collections.abc import Iterable

RawHeaders = list[tuple[bytes, bytes]]

CONTENT_POLICY = b"content-security-policy"

_SECURITY: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
# Data and problem documents load nothing. A page with scripts sets a policy of its own.
_LOAD_NOTHING = (CONTENT_POLICY, b"default-src 'none'; frame-ancestors 'none'")


def with_common_headers(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> RawHeaders:
    """Return the headers of an answer with those that every answer carries."""
    complete = [*headers, (b"x-request-id", request_id.encode()), *_SECURITY]
    if not any(name.lower() == CONTENT_POLICY for name, _ in complete):
        complete.append(_LOAD_NOTHING)
    return complete
