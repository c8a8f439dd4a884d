"""`python -m services.notifier` runs a notifier; any number of them may run."""

from services.notifier.main import run_notifier
from services.notifier.settings import NotifierSettings
from shared.cli.service import run_service

DESCRIPTION = "Run a notifier: it sends the daily report, alerts, and webhooks."

if __name__ == "__main__":
    run_service("notifier", NotifierSettings, run_notifier, DESCRIPTION)
