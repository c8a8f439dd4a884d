"""The command `mailing` as an operator runs it, against real servers and against none."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from shared.ledger.migrations import newest_revision
from tests.sandbox import Sandbox
from tests.servers import Servers, own_database
from tests.urls import with_address, with_password

REPOSITORY = Path(__file__).parents[2]
NOWHERE = "127.0.0.1:1"
WRONG = "a-wrong-password"


@pytest.fixture
def environment(database_url: str, broker_url: str, sandbox: Sandbox) -> dict[str, str]:
    """Settings with which everything is well."""
    return {
        "MAILING_DATABASE_URL": database_url,
        "MAILING_BROKER_URL": broker_url,
        "MAILING_PROVIDER_URL": sandbox.url,
        "MAILING_PROVIDER_TOKEN": sandbox.token,
    }


@pytest.fixture
def empty_database(servers: Servers) -> Iterator[str]:
    """URL of a database without a schema."""
    with own_database(servers, "cli") as url:
        yield url


def mailing(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command with these settings alone."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("MAILING_")}
    return subprocess.run(
        [sys.executable, "-m", "shared.cli", *words],
        cwd=REPOSITORY,
        env=others | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wrong_password(url: str) -> str:
    return with_password(url, WRONG)


def no_server(url: str) -> str:
    return with_address(url, NOWHERE)


def test_check_finds_nothing_wrong_where_everything_is_well(environment: dict[str, str]) -> None:
    done = mailing(environment, "check")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in lines] == [
        [part, "ok:"] for part in ("settings", "database", "schema", "broker", "provider")
    ]


def test_check_says_what_is_wrong_and_what_to_do(environment: dict[str, str]) -> None:
    wrong = {
        "MAILING_DATABASE_URL": wrong_password(environment["MAILING_DATABASE_URL"]),
        "MAILING_BROKER_URL": wrong_password(environment["MAILING_BROKER_URL"]),
        "MAILING_PROVIDER_URL": f"http://{NOWHERE}",
        "MAILING_LEASE": "soon",
        "MAILING_PROVIDER_RAT": "100",
    }
    done = mailing(environment | wrong, "check")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert lines[0] == (
        "settings  wrong: setting MAILING_LEASE: must be a number of seconds, such as 5 or 0.25, and not 'soon'"
    )
    assert lines[1].endswith("MAILING_PROVIDER_RAT: no service knows it; do you mean MAILING_PROVIDER_RATE?")
    for line, part, variable in (
        (lines[2], "database", "MAILING_DATABASE_URL"),
        (lines[3], "schema", "MAILING_DATABASE_URL"),
        (lines[4], "broker", "MAILING_BROKER_URL"),
        (lines[5], "provider", "MAILING_PROVIDER_URL"),
    ):
        assert line.startswith(part)
        assert "wrong: no " in line
        assert f"check {variable}" in line
    assert len(lines) == 6
    assert WRONG not in done.stdout


def test_check_sees_a_schema_that_is_missing_old_or_too_new(
    environment: dict[str, str], empty_database: str
) -> None:
    environment |= {"MAILING_DATABASE_URL": empty_database}
    assert "no schema yet: run `mailing migrate`" in mailing(environment, "check", "schema").stdout
    assert mailing(environment, "migrate").stdout == f"database is at revision {newest_revision()}\n"
    for revision, remedy in (("0001", "run `mailing migrate`"), ("9999", "install the version")):
        with psycopg.connect(empty_database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))
        done = mailing(environment, "check", "schema")
        assert done.returncode == 1
        assert remedy in done.stdout
    later = mailing(environment, "migrate")
    assert (later.returncode, later.stdout, later.stderr.count("\n")) == (1, "", 1)
    assert "9999" in later.stderr


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"MAILING_PROVIDER_ADAPTER": "smpp"}, "there is no provider adapter 'smpp', only http, probe"),
        ({"MAILING_PROVIDER_ADAPTER": "http"}, "the provider adapter 'http' needs MAILING_PROVIDER_FILE"),
        (
            {"MAILING_PROVIDER_URL": f"https://{NOWHERE}", "MAILING_PROVIDER_CA_FILE": "missing.pem"},
            "setting MAILING_PROVIDER_CA_FILE: No such file",
        ),
    ],
)
def test_check_goes_the_senders_own_way_to_the_provider(
    environment: dict[str, str], setting: dict[str, str], reason: str
) -> None:
    done = mailing(environment | setting, "check", "provider")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"provider  wrong: {reason}")


def test_check_sees_a_token_that_the_provider_refuses(environment: dict[str, str]) -> None:
    done = mailing(environment | {"MAILING_PROVIDER_TOKEN": "wrong"}, "check", "provider")
    assert (done.returncode, done.stdout[:16]) == (1, "provider  wrong:")
    assert "401: check MAILING_PROVIDER_TOKEN" in done.stdout


@pytest.mark.parametrize("change", [wrong_password, no_server])
def test_migrate_without_a_connection_says_why_in_one_line(database_url: str, change: object) -> None:
    assert callable(change)
    done = mailing({"MAILING_DATABASE_URL": change(database_url)}, "migrate")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("migrate: no connection to PostgreSQL: connection failed")
    assert WRONG not in done.stderr


@pytest.mark.parametrize("change", [wrong_password, no_server])
def test_dead_letters_without_a_connection_count_nothing(broker_url: str, change: object) -> None:
    assert callable(change)
    done = mailing({"MAILING_BROKER_URL": change(broker_url)}, "dead-letters")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "RabbitMQ" in done.stderr
    assert WRONG not in done.stderr
