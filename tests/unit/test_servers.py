"""Which servers the tests run on."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.local.stack import BROKER_VARIABLE, DATABASE_VARIABLE
from tests import servers


@contextmanager
def _container() -> Iterator[str]:
    yield "container"


@pytest.mark.parametrize("database", ["given", ""])
@pytest.mark.parametrize("broker", ["given", ""])
def test_where_docker_answers_a_server_that_is_not_given_is_a_container(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, database)
    monkeypatch.setenv(BROKER_VARIABLE, broker)
    monkeypatch.setattr(servers, "docker_answers", lambda: True)
    for name in ("_postgres_container", "_rabbitmq_container"):
        monkeypatch.setattr(servers, name, _container)
    with servers.found_servers() as found:
        assert (found.database_url, found.broker_url) == (database or "container", broker or "container")
