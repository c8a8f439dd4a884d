"""Parser of the command `mailing`. A new subcommand is a module and one line in COMMANDS."""

import argparse
from collections.abc import Mapping
from typing import Protocol

from shared import __version__
from shared.cli import check, dead_letters, logs, migrate, report, restored, token, user, version

INTERRUPTED = 130  # exit status after Ctrl-C, as in a shell


class Command(Protocol):
    """Subcommand: a module of this package."""

    SUMMARY: str  # one line, for `mailing --help`
    DESCRIPTION: str  # for `mailing COMMAND --help`

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Carry the command out and return the exit status."""
        ...


COMMANDS: Mapping[str, Command] = {
    "migrate": migrate,
    "check": check,
    "user": user,
    "token": token,
    "logs": logs,
    "dead-letters": dead_letters,
    "report": report,
    "restored": restored,
    "version": version,
}


def main(words: list[str] | None = None) -> int:
    """Run the subcommand that the arguments name and return its exit status."""
    arguments = make_parser().parse_args(words)
    try:
        return COMMANDS[arguments.command].run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog="mailing",
        description="Administer the mailing service. Settings come from environment variables `MAILING_…`, "
        "from a file `.env` in this folder, or from files in /run/secrets.",
        epilog="`mailing COMMAND --help` describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"mailing {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.SUMMARY, description=command.DESCRIPTION)
        command.add_arguments(subparser)
    return parser
