"""`python -m services.console` serves the console."""

from services.console.main import run_console
from services.console.settings import ConsoleSettings
from shared.cli.service import run_service

DESCRIPTION = "Serve the operators' web interface, a client of the REST API."

if __name__ == "__main__":
    run_service("console", ConsoleSettings, run_console, DESCRIPTION)
