"""Notice of an alert as an e-mail, in one language."""

from babel import Locale

from services.notifier import words
from services.notifier.formatting import Formatter
from services.notifier.mail.messages import Content
from services.notifier.mail.rendering import MailStyle, render_mail
from shared.ledger.alerts import AlertRow
from shared.zones import find_zone


def render_notice(alert: AlertRow, phase: str, language: str, zone: str, style: MailStyle) -> Content:
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
    }
    return render_mail("notice", language, style, shown)


def _shown_facts(alert: AlertRow, formatter: Formatter) -> dict[str, str]:
    return {
        name: formatter.number(value) if isinstance(value, int) and name != "mailing_id" else str(value)
        for name, value in alert.facts.items()
    }
