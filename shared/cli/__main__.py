"""Operator's commands: `migrate` brings the database to the current schema; `dead-letters` shows what could not be
handled, and puts it back or drops it; `logs` picks one story out of the services' logs."""

import argparse
import sys

from shared.cli import dead_letter_command, log_stories
from shared.ledger.migrations import migrate
from shared.settings import DatabaseSettings, load


def main() -> None:
    parser = argparse.ArgumentParser(prog="mailing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the database to the current schema")
    dead_letter_command.add_arguments(
        commands.add_parser("dead-letters", help="messages that could not be handled")
    )
    log_stories.add_arguments(
        commands.add_parser("logs", help="the story of one mailing, message, client or request")
    )
    arguments = parser.parse_args()
    if arguments.command == "dead-letters":
        sys.exit(dead_letter_command.run(arguments))
    if arguments.command == "logs":
        sys.exit(log_stories.run(arguments))
    print(f"database is at revision {migrate(load(DatabaseSettings).database_url)}")


if __name__ == "__main__":
    main()
