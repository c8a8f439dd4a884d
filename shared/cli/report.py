"""`mailing report`: the daily report of any day, printed or sent."""

import argparse
import asyncio
import importlib
import sys
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared.contracts import utc_now
from shared.errors import DatabaseUnavailable, MailingError
from shared.settings import load

SUMMARY = "print or send the daily report of a day"
DESCRIPTION = (
    "Print the report of a day, or send it to an address at once. Without --day, it is yesterday in "
    "MAILING_REPORT_ZONE. It needs MAILING_DATABASE_URL, and to send it the settings MAILING_SMTP_…. Exit status: "
    "0 done, 1 the mail was not accepted, 2 the settings are wrong or there is no connection to the database."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--day", type=date.fromisoformat, help="such as 2026-11-24; default: yesterday")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--print", choices=("text", "html"), nargs="?", const="text", help="default: text")
    target.add_argument("--send-to", metavar="ADDRESS", help="such as anna@example.org or anna@example.org:ru")
    parser.add_argument("--language", choices=("en", "ru"), help="of the printed report")


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out and return the exit status."""
    # By name, because `shared` imports no service.
    notifier: Any = importlib.import_module("services.notifier.report.command")
    settings_module: Any = importlib.import_module("services.notifier.settings")
    addresses: Any = importlib.import_module("services.notifier.mail.addresses")
    settings = load(settings_module.ReportCommandSettings)
    day = arguments.day or _yesterday(settings.zone())
    try:
        if arguments.send_to is None:
            asyncio.run(notifier.print_report(settings, day, arguments.language, arguments.print))
        else:
            [recipient] = addresses.parse_recipients(arguments.send_to)
            asyncio.run(notifier.send_report(settings, day, recipient))
            print(f"the report of {day} was accepted by {settings.smtp_host}")
    except ValueError as error:
        return _fail(str(error), 2)
    except DatabaseUnavailable as error:
        return _fail(error.reason, 2)
    except MailingError as error:
        return _fail(str(error), 1)
    return 0


def _yesterday(zone: ZoneInfo) -> date:
    return utc_now().astimezone(zone).date() - timedelta(days=1)


def _fail(problem: str, status: int) -> int:
    print(f"report: {problem}", file=sys.stderr)
    return status
