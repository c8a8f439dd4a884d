"""`mailing restored`: begin a new epoch of the ledger, after it was restored from a backup."""

import argparse
import sys

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.cli.database import origin_of, run_on_database
from shared.contracts import utc_now
from shared.ledger.audit import Subject, audit
from shared.ledger.epochs import begin_epoch

SUMMARY = "begin a new epoch, after the database was restored from a backup"
DESCRIPTION = (
    "Begin a new epoch of the database MAILING_DATABASE_URL. Run it once after each restore from a backup, before "
    "the services start. Jobs and reports that RabbitMQ still has from before are refused and shown, and new "
    "messages get ids that were never used. Exit status: 0 done, 1 the command was refused, 2 there is no "
    "connection to the database."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no options."""


def run(_: argparse.Namespace) -> int:
    """Begin the epoch and return the exit status."""
    return run_on_database("restored", _begin, _show)


async def _begin(connection: AsyncConnection) -> int:
    epoch = await begin_epoch(connection, utc_now(), "mailing restored")
    await audit(connection, origin_of("ledger.restored"), Subject("ledger", after={"epoch": epoch}))
    return epoch


def _show(epoch: int) -> None:
    print(f"epoch {epoch} has begun; jobs and reports from before are refused, and ids go on a billion higher")
    print(
        "before a planner starts, look at the mailings that are not finished: docs/operation.md",
        file=sys.stderr,
    )
