"""Report of a day as an e-mail, in one language."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babel import Locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.notifier import words
from services.notifier.formatting import Formatter, columns
from services.notifier.mail.messages import Content
from services.notifier.report.model import ReportFacts, compare
from shared.ledger.progress import SINGLE_MESSAGES
from shared.statuses import MessageStatus
from shared.translation import load_catalog

LOCALES = Path(__file__).parents[1] / "locale"
TEMPLATES = Path(__file__).parents[1] / "templates"
BAR_HEIGHT = 96  # pixels


@dataclass(frozen=True, slots=True)
class ReportStyle:
    """Choices of the settings that a report shows."""

    console_url: str | None
    part_price: float | None
    currency: str


@cache
def environment(language: str) -> Environment:
    """Return the templates of mails in a language."""
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


def render_report(facts: ReportFacts, language: str, style: ReportStyle) -> Content:
    """Render the report."""
    formatter = Formatter(Locale.parse(language), facts.zone)
    shown = {
        "facts": facts,
        "format": formatter,
        "language": language,
        "comparisons": compare(facts),
        "bars": _bars(facts),
        "style": style,
        "console": None if style.console_url is None else style.console_url.rstrip("/"),
        "cost": None if style.part_price is None else facts.parts * style.part_price,
        "singles": SINGLE_MESSAGES,
    }
    made = environment(language)
    subject = made.get_template("report_subject.txt").render(shown)
    return Content(
        " ".join(subject.split()),
        made.get_template("report.txt").render(shown),
        made.get_template("report.html").render(shown),
        language,
    )


def _bars(facts: ReportFacts) -> list[dict[str, object]]:
    """Return the bars of the chart: sent below, all others above."""
    sent = [counts.get(MessageStatus.SENT, 0) for _, counts in facts.days]
    totals = [sum(counts.values()) for _, counts in facts.days]
    return [
        {"day": day, "sent": below, "others": whole - below, "total": total, "unsent": total - count}
        for (day, _), below, whole, total, count in zip(
            facts.days, _below(sent, totals), columns(totals, BAR_HEIGHT), totals, sent, strict=True
        )
    ]


def _below(sent: list[int], totals: list[int]) -> list[int]:
    """Return the heights of the lower parts, so that an upper part that is not 0 shows."""
    heights = columns(totals, BAR_HEIGHT)
    return [
        0 if total == 0 else height if part == total else min(height - 2, round(height * part / total))
        for part, total, height in zip(sent, totals, heights, strict=True)
    ]
