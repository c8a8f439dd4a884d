"""Servers that the tests run on: given ones, containers, or private ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.stack import BROKER_VARIABLE, DATABASE_VARIABLE
from tests import servers

ALL_WELL = "exit 0"
NO_REGISTRY = 'case "$1" in info) exit 0 ;; *) exit 1 ;; esac'
NO_DAEMON = "exit 1"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Program `docker` whose script a test writes."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = tmp_path / "docker"
    program.touch(0o755)
    servers.why_no_containers.cache_clear()
    yield program
    servers.why_no_containers.cache_clear()


@contextmanager
def _container() -> Iterator[str]:
    yield "container"


@pytest.mark.parametrize("database", ["given", ""])
@pytest.mark.parametrize("broker", ["given", ""])
def test_where_docker_answers_a_server_that_is_not_given_is_a_container(
    database: str, broker: str, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.write_text(f"#!/bin/sh\n{ALL_WELL}\n")
    monkeypatch.setenv(DATABASE_VARIABLE, database)
    monkeypatch.setenv(BROKER_VARIABLE, broker)
    for name in ("_postgres_container", "_rabbitmq_container"):
        monkeypatch.setattr(servers, name, _container)
    with servers.found_servers() as found:
        assert (found.database_url, found.broker_url) == (database or "container", broker or "container")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (ALL_WELL, None),
        (NO_DAEMON, "Docker does not answer"),
        (NO_REGISTRY, f"Docker has no image {servers.POSTGRES_IMAGE} and cannot pull it"),
    ],
)
def test_without_docker_or_a_registry_the_tests_say_why_they_use_private_servers(
    docker: Path, script: str, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.write_text(f"#!/bin/sh\n{script}\n")
    monkeypatch.setenv(DATABASE_VARIABLE, "")
    monkeypatch.setenv(BROKER_VARIABLE, "given")
    lines: list[str] = []
    servers.prepare_servers(lines.append)
    assert lines == ([f"{reason}: the tests run on private servers"] if reason else [])
