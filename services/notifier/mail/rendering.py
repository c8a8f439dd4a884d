"""Mails out of templates: subject, text and HTML, in one language."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.notifier import words
from services.notifier.mail.messages import Content
from shared.translation import load_catalog

LOCALES = Path(__file__).parents[1] / "locale"
TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True, slots=True)
class MailStyle:
    """Choices of the settings that mails show."""

    console_url: str | None
    part_price: float | None
    currency: str


def render_mail(name: str, language: str, style: MailStyle, shown: Mapping[str, object]) -> Content:
    """Render the templates `<name>_subject.txt`, `<name>.txt` and `<name>.html`."""
    values = {
        "language": language,
        "console": None if style.console_url is None else style.console_url.rstrip("/"),
        **shown,
    }
    templates = _environment(language)
    subject = templates.get_template(f"{name}_subject.txt").render(values)
    return Content(
        " ".join(subject.split()),
        templates.get_template(f"{name}.txt").render(values),
        templates.get_template(f"{name}.html").render(values),
        language,
    )


@cache
def _environment(language: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    catalog = load_catalog(LOCALES, "notifier", language)
    made.install_gettext_translations(catalog, newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(status_words=words.STATUSES, reason_words=words.REASONS, state_words=words.STATES)
    return made
