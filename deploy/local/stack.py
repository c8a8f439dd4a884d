"""PostgreSQL and RabbitMQ for the services: private servers unless the environment names others."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.lifetime import Startable
from deploy.local.ports import same_ports
from deploy.local.postgres import PrivatePostgres
from deploy.local.rabbitmq import PrivateRabbitMQ
from deploy.local.rabbitmq_files import NodePorts
from deploy.local.rabbitmq_programs import Notify
from deploy.local.state_folder import StateFolder

DATABASE_VARIABLE = "MAILING_DATABASE_URL"
BROKER_VARIABLE = "MAILING_BROKER_URL"
RABBITMQ_PORTS = ("amqp", "rabbitmq-ui", "rabbitmq-metrics", "rabbitmq-distribution", "epmd")


class Servers(Startable):
    """PostgreSQL and RabbitMQ, with their state in one folder.

    A server that the environment names by its URL is used as it is. It is neither started nor stopped, and
    `postgres` or `rabbitmq` is None.
    """

    def __init__(
        self,
        state: Path,
        *,
        throwaway: bool = False,
        ports: Path | None = None,
        environment: Mapping[str, str] = os.environ,
        notify: Notify = print,
    ) -> None:
        """Prepare the servers.

        throwaway: begin without the data of an earlier run, and kill RabbitMQ at the end, as it stops slowly.
        ports: a file that keeps the servers' ports from one run to the next.
        """
        given = {name: environment.get(name) for name in (DATABASE_VARIABLE, BROKER_VARIABLE)}
        self._given_database, self._given_broker = given[DATABASE_VARIABLE], given[BROKER_VARIABLE]
        self._folder = StateFolder(state)
        self._throwaway = throwaway
        folder, database_port, node_ports = self._folder.path, None, None
        if ports:
            database_port, *others = same_ports(ports, ["postgres", *RABBITMQ_PORTS])
            node_ports = NodePorts(*others)
        self.postgres = None if self._given_database else PrivatePostgres(folder / "postgres", database_port)
        self.rabbitmq = None if self._given_broker else PrivateRabbitMQ(folder / "rabbitmq", notify, node_ports)

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
        """Return the variables with which the services find the servers."""
        return {DATABASE_VARIABLE: self.database_url, BROKER_VARIABLE: self.broker_url}

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start both servers and return when PostgreSQL is ready. RabbitMQ needs some seconds more."""
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

    def ensure_running(self) -> None:
        """Raise StartError if RabbitMQ has ended during its start."""
        if self.rabbitmq:
            self.rabbitmq.ensure_running()

    def await_ready(self) -> None:
        """Return when RabbitMQ is ready."""
        try:
            if self.rabbitmq:
                self.rabbitmq.await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what was started."""
        try:
            if self.postgres:
                self.postgres.stop()
        finally:
            if self.rabbitmq:
                (self.rabbitmq.kill if self._throwaway else self.rabbitmq.stop)()
            self._folder.release()

    @contextmanager
    def launched(self) -> Iterator[None]:
        """Run the servers like `with servers`, but enter before RabbitMQ is ready."""
        self.launch()
        try:
            yield
        finally:
            self.stop()
