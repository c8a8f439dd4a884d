"""`python -m services.sender` runs a sender; scale by running more."""

from services.sender.main import run_sender
from services.sender.settings import SenderSettings
from shared.lifecycle import run
from shared.settings import load
from shared.telemetry.log import configure
from shared.telemetry.tracing import tracing

if __name__ == "__main__":
    settings = load(SenderSettings)
    configure("sender", settings.log_level, settings.log_format)
    with tracing("sender", settings):
        run(lambda stopping: run_sender(settings, stopping))
