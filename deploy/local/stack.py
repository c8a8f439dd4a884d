"""The two servers that the service stands on, private ones unless the environment names others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from deploy.local.postgres import PrivatePostgres
from deploy.local.rabbitmq import PrivateRabbitMQ
from deploy.local.rabbitmq_programs import Say
from deploy.local.state_folder import StateFolder

DATABASE_VARIABLE = "MAILING_DATABASE_URL"
BROKER_VARIABLE = "MAILING_BROKER_URL"


class Servers:
    """PostgreSQL and RabbitMQ, up between `start` and `stop`, with their state in one folder.

    A server that the environment names by its URL is used as it is: neither started nor stopped,
    and `postgres` or `rabbitmq` is None.
    """

    def __init__(
        self,
        state: Path,
        *,
        throwaway: bool = False,
        environment: Mapping[str, str] = os.environ,
        say: Say = print,
    ) -> None:
        """`throwaway`: what an earlier run left is removed, and RabbitMQ is killed, not stopped for seconds."""
        given = {name: environment.get(name) for name in (DATABASE_VARIABLE, BROKER_VARIABLE)}
        self._given_database, self._given_broker = given[DATABASE_VARIABLE], given[BROKER_VARIABLE]
        self._folder = StateFolder(state)
        self._throwaway = throwaway
        self.postgres = None if self._given_database else PrivatePostgres(self._folder.path / "postgres")
        self.rabbitmq = None if self._given_broker else PrivateRabbitMQ(self._folder.path / "rabbitmq", say)

    @property
    def state(self) -> Path:
        return self._folder.path

    @property
    def database_url(self) -> str:
        return self.postgres.url if self.postgres else self._given_database or ""

    @property
    def broker_url(self) -> str:
        return self.rabbitmq.url if self.rabbitmq else self._given_broker or ""

    @property
    def environment(self) -> dict[str, str]:
        """What the services need to find them."""
        return {DATABASE_VARIABLE: self.database_url, BROKER_VARIABLE: self.broker_url}

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Returns when PostgreSQL is up; RabbitMQ boots for some seconds more, see `await_ready`."""
        self._folder.acquire()
        try:
            if self._throwaway:
                self._folder.clear()
            if self.rabbitmq:
                self.rabbitmq.launch()
            if self.postgres:
                self.postgres.start()
        except BaseException:
            self.stop()
            raise

    def await_ready(self) -> None:
        try:
            if self.rabbitmq:
                self.rabbitmq.await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Also where nothing was started, or only the half of it."""
        try:
            if self.postgres:
                self.postgres.stop()
        finally:
            if self.rabbitmq:
                (self.rabbitmq.kill if self._throwaway else self.rabbitmq.stop)()
            self._folder.release()

    @contextmanager
    def launched(self) -> Iterator[Servers]:
        """As `with servers`, but from `launch` on: for those who have something to do until RabbitMQ is up."""
        self.launch()
        try:
            yield self
        finally:
            self.stop()

    def __enter__(self) -> Servers:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
