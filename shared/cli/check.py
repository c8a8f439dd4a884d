"""`mailing check`: look at settings, database, schema, broker and provider, one line each."""

import argparse
import asyncio
import importlib
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, text

from shared.broker.connection import CONNECTION_ERRORS, close, connect
from shared.cli.known_settings import all_setting_problems
from shared.errors import CheckFailed, DatabaseUnavailable
from shared.ledger.migrations import current_revision, newest_revision, open_connection
from shared.settings import BrokerSettings, DatabaseSettings, Settings, SettingsError, read
from shared.telemetry.log import configure

SUMMARY = "check settings, database, schema, broker and provider"
DESCRIPTION = (
    "Check the settings of all services, the connection to PostgreSQL, the revision of its schema, the "
    "connection to RabbitMQ, and the provider. Print one line each with what is wrong and what to do. Nothing "
    "is changed, and no SMS is sent. Exit status: 0 all is well, 1 something is wrong."
)

OLDEST_POSTGRES = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    names = ", ".join(CHECKS)
    parser.add_argument(
        "parts", nargs="*", type=_part, metavar="PART", help=f"one or more of {names}; default: everything"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the checks; return 1 if one of them has failed."""
    configure("operator", "error", "auto")  # else libraries print their own lines
    status = 0
    for part in arguments.parts or CHECKS:
        try:
            lines = [f"ok: {CHECKS[part]()}"]
        except CheckFailed as failure:
            lines = [f"wrong: {problem}" for problem in failure.args]
            status = 1
        for line in lines:
            print(f"{part:8}  {line}", flush=True)
    return status


def check_settings() -> str:
    """Check the settings of every service."""
    if problems := all_setting_problems():
        raise CheckFailed(*problems)
    return "every setting is known and valid"


def check_database() -> str:
    """Check that PostgreSQL accepts our login, and that its version is supported."""
    with _database() as connection:
        number, version = connection.execute(
            text("SELECT current_setting('server_version_num')::int, current_setting('server_version')")
        ).one()
    if number < OLDEST_POSTGRES * 10_000:
        raise CheckFailed(f"PostgreSQL {version} is too old: upgrade it to {OLDEST_POSTGRES} or newer")
    return f"PostgreSQL {version}"


def check_schema() -> str:
    """Check that the database is at the revision that this version needs."""
    with _database() as connection:
        current, newest = current_revision(connection), newest_revision()
    if current is None:
        raise CheckFailed("the database has no schema yet: run `mailing migrate`")
    if current < newest:
        raise CheckFailed(f"revision {current} is older than {newest}: run `mailing migrate`")
    if current > newest:
        raise CheckFailed(f"revision {current} is newer than {newest}: install the version that made it")
    return f"revision {current}"


def check_broker() -> str:
    """Check that RabbitMQ accepts our login."""
    url = _read(BrokerSettings).broker_url

    async def open_channel() -> None:
        connection = await connect(url, "mailing check")
        try:
            await connection.channel()
        finally:
            await close(connection)

    try:
        asyncio.run(open_channel())
    except CONNECTION_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckFailed(
            f"no connection to RabbitMQ: {reason}; check MAILING_BROKER_URL, and that RabbitMQ runs"
        ) from error
    return "RabbitMQ accepts the login"


def check_provider() -> str:
    """Check that the provider answers, and does not refuse the token.

    The sender does that. It is found by its name, because `shared` imports no service.
    """
    outcome: str = importlib.import_module("services.sender.check").check_provider()
    return outcome


CHECKS: Mapping[str, Callable[[], str]] = {
    "settings": check_settings,
    "database": check_database,
    "schema": check_schema,
    "broker": check_broker,
    "provider": check_provider,
}


def _part(name: str) -> str:
    if name not in CHECKS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(CHECKS)}")
    return name


def _database() -> Connection:
    try:
        return open_connection(_read(DatabaseSettings).database_url)
    except DatabaseUnavailable as error:
        raise CheckFailed(
            f"no connection to PostgreSQL: {error}; check MAILING_DATABASE_URL, and that PostgreSQL runs"
        ) from error


def _read(kind: type[Settings]) -> Settings:
    try:
        return read(kind)
    except SettingsError as error:
        raise CheckFailed(*error.args) from None
