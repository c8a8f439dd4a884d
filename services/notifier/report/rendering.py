"""Report of a day as an e-mail, in one language."""

from babel import Locale

from services.notifier.formatting import Formatter, columns
from services.notifier.mail.messages import Content
from services.notifier.mail.rendering import MailStyle, render_mail
from services.notifier.report.model import ReportFacts, compare
from shared.ledger.progress import SINGLE_MESSAGES
from shared.statuses import MessageStatus

BAR_HEIGHT = 96  # pixels


def render_report(facts: ReportFacts, language: str, style: MailStyle) -> Content:
    """Render the report."""
    shown = {
        "facts": facts,
        "format": Formatter(Locale.parse(language), facts.zone),
        "comparisons": compare(facts),
        "bars": _bars(facts),
        "style": style,
        "cost": None if style.part_price is None else facts.parts * style.part_price,
        "singles": SINGLE_MESSAGES,
    }
    return render_mail("report", language, style, shown)


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
