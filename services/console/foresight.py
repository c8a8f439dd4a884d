"""The audience and the end of a mailing that has not started, as the API foresees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from services.console.draft import Draft
from services.console.preferences import Preferences
from services.console.rest.answers import FieldError, Mailing, Preview
from services.console.rest.calls import Api
from services.console.rest.errors import Refused, SignInNeeded
from shared.contracts import utc_now
from shared.windows import Window, is_open
from shared.zones import find_zone

SHOWN_ZONES = 12
# Stands in for a text that the person has not come to yet, so that the audience can be counted.
_PLACEHOLDER_TEXT = "…"

Foreseen = tuple[Preview | None, Sequence[FieldError]]


@dataclass(frozen=True, slots=True)
class Reach:
    """A zone's people, and for each of the next 24 hours whether they may be written to."""

    zone: str
    people: int
    hours: Sequence[bool]


async def previewed_draft(api: Api, draft: Draft, preferences: Preferences, *, complete: bool = False) -> Foreseen:
    """Return the preview of a draft, or what the API says against it. An incomplete draft gets placeholders."""
    if not draft.names_somebody:
        return None, ()
    now = utc_now()
    body = draft.body(preferences.zone, now)
    if not complete:
        body["text"] = _PLACEHOLDER_TEXT
        if not draft.end:
            body["expired_at"] = (now + timedelta(days=1)).isoformat()
    return await _previewed(api, body)


async def previewed_mailing(api: Api, mailing: Mailing) -> Foreseen:
    """Return the preview of a mailing that waits for its start."""
    filtered: dict[str, JsonValue] = {name: list(values) for name, values in mailing.filter.items()}
    body: dict[str, JsonValue] = {
        "starts_at": mailing.starts_at.isoformat(),
        "expired_at": mailing.expired_at.isoformat(),
        "text": mailing.text,
        "filter": filtered,
        "window": {"from": mailing.window.begin, "until": mailing.window.until} if mailing.window else None,
        "rate": mailing.rate,
    }
    return await _previewed(api, body)


async def _previewed(api: Api, body: dict[str, JsonValue]) -> Foreseen:
    try:
        return await api.preview(body), ()
    except SignInNeeded:
        raise
    except Refused as error:
        return None, error.problem.errors or (FieldError(field="", message=error.problem.detail),)


def reach(begin: str, until: str, preview: Preview | None) -> list[Reach]:
    """Return when the largest zones can be written to, within a local window."""
    if preview is None:
        return []
    window, now = _window(begin, until), utc_now()
    hours = [now + timedelta(hours=hour) for hour in range(24)]
    largest = sorted(preview.by_zone.items(), key=lambda item: -item[1])[:SHOWN_ZONES]
    return [
        Reach(name, people, [_may_write(window, find_zone(name), hour) for hour in hours])
        for name, people in largest
    ]


def next_hours(zone: ZoneInfo) -> list[datetime]:
    """Return the next 24 hours by the person's clock."""
    now = utc_now().astimezone(zone)
    return [now + timedelta(hours=hour) for hour in range(24)]


def _may_write(window: Window | None, zone: ZoneInfo | None, at: datetime) -> bool:
    return window is None or (zone is not None and is_open(window, zone, at))


def _window(begin: str, until: str) -> Window | None:
    try:
        window = Window(time.fromisoformat(begin), time.fromisoformat(until))
    except ValueError:
        return None
    return None if window.start == window.end else window
