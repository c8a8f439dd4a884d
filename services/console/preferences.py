"""Preferences of a person: language, theme and time zone, kept in cookies."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from starlette.requests import Request

from services.console.translation import LANGUAGES, preferred_language
from shared.zones import find_zone

THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE, THEME_COOKIE, ZONE_COOKIE = "language", "theme", "zone"
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Preferences:
    """The choices in force for a request. `zone_is_known` is False while no choice was made."""

    language: str
    theme: str
    zone: ZoneInfo
    zone_is_known: bool


def preferences_of(request: Request) -> Preferences:
    """Return the choices of the cookies; a wrong value counts as none."""
    language = request.cookies.get(LANGUAGE_COOKIE, "")
    theme = request.cookies.get(THEME_COOKIE, "")
    zone = find_zone(request.cookies.get(ZONE_COOKIE, "").replace("%2F", "/"))
    return Preferences(
        language if language in LANGUAGES else preferred_language(request.headers.get("accept-language", "")),
        theme if theme in THEMES else "auto",
        zone or _UTC,
        zone is not None,
    )
