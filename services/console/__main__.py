"""`python -m services.console` serves the console."""

import argparse

from services.console.main import run_console
from services.console.settings import ConsoleSettings
from shared import __version__
from shared.lifecycle import run
from shared.settings import load
from shared.telemetry.log import configure

_EPILOG = """
settings, from the environment or a file .env:
  MAILING_CONSOLE_HOST   the address to listen on (127.0.0.1)
  MAILING_CONSOLE_PORT   the port to listen on (8080; 0 takes a free one)
  MAILING_API_URL        the API that the console calls (http://127.0.0.1:8000)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m services.console",
        description="Serve the operators' web interface.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args()
    settings = load(ConsoleSettings)
    configure("console", settings.log_level, settings.log_format)
    run(lambda stopping: run_console(settings, stopping))


if __name__ == "__main__":
    main()
