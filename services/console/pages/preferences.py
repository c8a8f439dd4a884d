"""/preferences/: language, theme and time zone, kept in cookies of a year."""

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from services.console.forms import first, local_path, read_form
from services.console.preferences import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, ZONE_COOKIE
from services.console.translation import LANGUAGES
from shared.zones import find_zone

_YEAR = 365 * 86_400


async def save(request: Request) -> RedirectResponse:
    """Keep the choices that are valid, and return to the page where they were made."""
    form = await read_form(request)
    answer = RedirectResponse(local_path(first(form, "back")), 303)
    language, theme, zone = first(form, "language"), first(form, "theme"), first(form, "zone")
    valid = {
        LANGUAGE_COOKIE: language in LANGUAGES,
        THEME_COOKIE: theme in THEMES,
        ZONE_COOKIE: find_zone(zone) is not None,
    }
    for name, value in ((LANGUAGE_COOKIE, language), (THEME_COOKIE, theme), (ZONE_COOKIE, zone)):
        if valid[name]:
            answer.set_cookie(name, value, max_age=_YEAR, path="/", samesite="lax")
    return answer


ROUTES = [Route("/preferences/", save, methods=["POST"])]
