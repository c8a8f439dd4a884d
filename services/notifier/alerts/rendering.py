"""Notice of an alert as an e-mail, in one language."""

from babel import Locale

from services.notifier import words
from services.notifier.formatting import Formatter
from services.notifier.mail.messages import Content
from services.notifier.report.rendering import ReportStyle, environment
from shared.ledger.alerts import AlertRow
from shared.zones import find_zone


def render_notice(alert: AlertRow, phase: str, language: str, zone: str, style: ReportStyle) -> Content:
    """Render the notice of a phase of an alert: began, continues or ended."""
    found = find_zone(zone)
    assert found is not None, "the settings were checked"
    formatter = Formatter(Locale.parse(language), found)
    title, advice = words.ALERTS.get(alert.kind, (alert.kind, ""))
    shown = {
        "alert": alert,
        "phase": phase,
        "title_text": title,
        "advice": advice,
        "facts": {"subject": alert.subject, **_shown_facts(alert, formatter)},
        "format": formatter,
        "language": language,
        "console": None if style.console_url is None else style.console_url.rstrip("/"),
    }
    made = environment(language)
    subject = made.get_template("notice_subject.txt").render(shown)
    return Content(
        " ".join(subject.split()),
        made.get_template("notice.txt").render(shown),
        made.get_template("notice.html").render(shown),
        language,
    )


def _shown_facts(alert: AlertRow, formatter: Formatter) -> dict[str, str]:
    return {
        name: formatter.number(value) if isinstance(value, int) and name != "mailing_id" else str(value)
        for name, value in alert.facts.items()
    }
