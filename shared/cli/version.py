"""`mailing version`: show the versions that a report of a fault needs."""

import argparse
import platform

from shared import __version__
from shared.ledger.migrations import newest_revision

SUMMARY = "show the version of the service, of its database schema and of Python"
DESCRIPTION = "Show the version of the service, of its database schema and of Python. Needs no server."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no options."""


def run(_: argparse.Namespace) -> int:
    """Print one line per version."""
    print(f"mailing {__version__}")
    print(f"schema {newest_revision()}")
    print(f"python {platform.python_version()}")
    return 0
