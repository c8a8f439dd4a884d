"""`python -m services.sender` runs a sender; scale by running more."""

from services.sender.main import run_sender
from services.sender.settings import SenderSettings
from shared.cli.service import run_service

DESCRIPTION = "Run a sender: it takes jobs from RabbitMQ, POSTs their messages to the provider, and reports."

if __name__ == "__main__":
    run_service("sender", SenderSettings, run_sender, DESCRIPTION)
