"""`mailing check`: look at settings, database, schema, broker and provider, one line each."""

import argparse
import asyncio
import ssl
from collections.abc import Callable, Mapping

import httpx
from sqlalchemy import Connection, text

from shared.broker.connection import CONNECTION_ERRORS, close, connect
from shared.cli.known_settings import all_setting_problems
from shared.errors import DatabaseUnavailable
from shared.ledger.migrations import current_revision, newest_revision, open_connection
from shared.settings import BrokerSettings, DatabaseSettings, ProviderSettings, Settings, SettingsError, read
from shared.telemetry.log import configure

SUMMARY = "check settings, database, schema, broker and provider"
DESCRIPTION = (
    "Check the settings of all services, the connection to PostgreSQL, the revision of its schema, the "
    "connection to RabbitMQ, and the provider. Print one line each with what is wrong and what to do. Nothing "
    "is changed, and no SMS is sent. Exit status: 0 all is well, 1 something is wrong."
)

OLDEST_POSTGRES = 15
PROVIDER_TIMEOUT = 5.0  # seconds


class CheckFailed(Exception):
    """Raised by a check; each argument is a line with what is wrong and what to do."""


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
    """Check that the provider answers, and does not refuse the token. Asks for its base address only."""
    settings = _read(ProviderSettings)
    url = str(settings.provider_url)
    headers = {"Authorization": f"Bearer {settings.provider_token.get_secret_value()}"}
    try:
        trust = ssl.create_default_context(cafile=settings.provider_ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise CheckFailed(f"{settings.provider_ca_file}: {error}; check MAILING_PROVIDER_CA_FILE") from error
    proxy = settings.provider_proxy.get_secret_value() if settings.provider_proxy else None
    try:
        answer = httpx.get(
            url, headers=headers, timeout=PROVIDER_TIMEOUT, trust_env=False, verify=trust, proxy=proxy
        )
    except httpx.HTTPError as error:
        raise CheckFailed(f"no answer from {url}: {error}; check MAILING_PROVIDER_URL") from error
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise CheckFailed(f"{url} answers {answer.status_code}: check MAILING_PROVIDER_TOKEN")
    if answer.is_server_error:
        raise CheckFailed(f"{url} answers {answer.status_code}: the provider has a fault; messages will wait")
    return f"{url} answers {answer.status_code}"


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
