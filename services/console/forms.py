"""Forms as browsers send them, and values of their fields. Pure but for the reading of the body."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from starlette.exceptions import HTTPException
from starlette.requests import Request

LONGEST = 512 * 1024  # bytes of a form

Form = Mapping[str, list[str]]


async def read_form(request: Request) -> Form:
    """Return the fields of a urlencoded body. Raises HTTPException if it is too large."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST:
            raise HTTPException(413, "The form is too large.")
    return collected(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def collected(pairs: list[tuple[str, str]]) -> Form:
    """Return all values of each field."""
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def first(form: Form, name: str) -> str:
    """Return the first value of a field without white space around it."""
    return (form.get(name) or [""])[0].strip()


def lines(text: str) -> list[str]:
    """Return what stands on each line, without blank lines and repetitions."""
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def instant(text: str, zone: ZoneInfo) -> datetime | None:
    """Return the instant of a datetime-local field, or None if it has none."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        return None


def local_path(url: str) -> str:
    """Return the path and query of a URL of this site; `/` for any other, so that nobody is led elsewhere."""
    parts = urlsplit(url)
    if (
        parts.scheme
        or parts.netloc
        or not parts.path.startswith("/")
        or parts.path.startswith("//")
        or "\\" in url
    ):
        return "/"
    return parts.path + (f"?{parts.query}" if parts.query else "")
