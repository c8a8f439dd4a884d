"""Work of the command `mailing report`: the report of one day, printed or sent."""

import sys
from datetime import date

from pydantic import SecretStr

from services.notifier.mail.addresses import Recipient
from services.notifier.mail.messages import Envelope, compose, report_id
from services.notifier.mail.smtp import send_mail
from services.notifier.mailer import style_of
from services.notifier.report.model import ReportFacts
from services.notifier.report.queries import read_report
from services.notifier.report.rendering import render_report
from services.notifier.settings import ReportCommandSettings
from shared.contracts import utc_now
from shared.database.engine import open_engine
from shared.database.transactions import transaction

FORMATS = ("text", "html")


async def print_report(settings: ReportCommandSettings, day: date, language: str | None, form: str) -> None:
    """Write the report to standard output, as text or HTML."""
    facts = await _read(settings.database_url, settings, day)
    content = render_report(facts, language or settings.report_language, style_of(settings))
    sys.stdout.write(content.html if form == "html" else content.text)


async def send_report(settings: ReportCommandSettings, day: date, recipient: Recipient) -> None:
    """Send the report at once. The daily one is sent all the same.

    Raises:
        ValueError: the settings name no SMTP server.
        MailRefused, MailNotSent
    """
    server = settings.smtp_server()
    if server is None:
        raise ValueError("MAILING_SMTP_HOST is not set")
    facts = await _read(settings.database_url, settings, day)
    content = render_report(facts, settings.language_of(recipient), style_of(settings))
    now = utc_now()
    message_id = f"{int(now.timestamp())}.{report_id(day, recipient.address, settings.mail_from)}"
    message = compose(Envelope(settings.mail_from, recipient.address, message_id, now), content)
    await send_mail(server, message, settings.mail_from, recipient.address)


async def _read(url: SecretStr, settings: ReportCommandSettings, day: date) -> ReportFacts:
    engine = open_engine(url, "mailing report", connections=1)
    try:
        async with transaction(engine) as connection:
            return await read_report(connection, day, settings.zone())
    finally:
        await engine.dispose()
