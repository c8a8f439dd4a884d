"""Operator's commands: `python -m shared migrate` brings the database to the current schema."""

import argparse

from shared.migrations import migrate
from shared.settings import DatabaseSettings, load


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shared", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the database to the current schema")
    parser.parse_args()
    print(f"database is at revision {migrate(load(DatabaseSettings).database_url)}")


if __name__ == "__main__":
    main()
