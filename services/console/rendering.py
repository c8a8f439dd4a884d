"""Templates rendered for one person: in their language, with their time zone and theme."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from babel import Locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from services.console import assets, words
from services.console.formatting import Formatter
from services.console.preferences import THEMES, Preferences, preferences_of
from services.console.session import token_of
from services.console.translation import LANGUAGES, catalog
from shared import __version__
from shared.contracts import utc_now

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment(language: str) -> Environment:
    """Return the templates in a language."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(catalog(language), newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(
        asset=assets.url,
        icon=assets.icon,
        languages=LANGUAGES,
        themes=THEMES,
        statuses=words.STATUSES,
        outcomes=words.OUTCOMES,
        state_of=words.state_of,
        is_over=words.is_over,
        explanation_of=words.explanation_of,
        alert_title=words.alert_title,
        query=encoded_query,
        version=__version__,
    )
    return made


def prepare() -> None:
    """Read all files and compile all templates, so that the first person does not wait for it."""
    assets.all_assets()
    for language in LANGUAGES:
        made = environment(language)
        for name in made.list_templates():
            made.get_template(name)


def encoded_query(values: Mapping[str, object], **changes: object) -> str:
    """Return a query string of what is not empty, with some values changed."""
    kept = {name: value for name, value in {**values, **changes}.items() if value not in (None, "")}
    return "?" + urlencode(kept) if kept else ""


def formatter(preferences: Preferences, now: datetime | None = None) -> Formatter:
    """Return the formats of a person."""
    return Formatter(Locale.parse(preferences.language), preferences.zone, now or utc_now())


def translated(request: Request, text: str) -> str:
    """Return a marked text in the person's language."""
    return str(catalog(preferences_of(request).language).ugettext(text))


def render_text(request: Request, template: str, /, **context: Any) -> str:
    """Return a template as text, for a page or a fragment of one."""
    preferences = preferences_of(request)
    return (
        environment(preferences.language)
        .get_template(template)
        .render(
            preferences=preferences,
            fmt=formatter(preferences),
            request_id=request.scope.get("request_id"),
            path=request.url.path,
            here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            section=request.url.path.split("/")[1],
            is_signed_in=token_of(request) is not None,
            **context,
        )
    )


def render(request: Request, template: str, http_status: int = 200, /, **context: Any) -> HTMLResponse:
    """Return a template as an answer."""
    return HTMLResponse(render_text(request, template, **context), http_status)
