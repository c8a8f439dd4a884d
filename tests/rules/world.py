"""A system to hold the rules against: processes on real servers, and a provider that notes when what arrived."""

import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from deploy.sandbox.ledger import Received
from tests.directory import add_clients
from tests.e2e.system import Environment, System, running_system, until
from tests.sandbox import Sandbox
from tests.servers import Servers, empty_queues, empty_tables


@dataclass(frozen=True, slots=True)
class World:
    """A running system on servers that are its own, and what only SQL and signals can do to it."""

    system: System
    sandbox: Sandbox
    database_url: str

    def add_clients(self, count: int, tag: str, zones: Iterable[str] = ("Europe/Moscow",)) -> None:
        """So many clients in each of the zones, of ten codes in turn, straight into the directory."""
        add_clients(self.database_url, tag, count, zones=zones, codes=10, first=79_200_000_000)

    def zone_and_end_by_message(self, mailing_id: int) -> dict[int, tuple[str, str, str | None]]:
        """For each message of a mailing: the client's zone, the status, the reason."""
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute(
                "SELECT m.id, c.zone, m.status::text, m.reason::text"
                " FROM messages m JOIN clients c ON c.id = m.client_id WHERE mailing_id = %s",
                (mailing_id,),
            )
            return {message_id: (zone, status, reason) for message_id, zone, status, reason in rows}

    def zone_and_code_of_recipients(self, mailing_id: int) -> list[tuple[str, int]]:
        """Return zone and code of each client with a message of the mailing."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(
                "SELECT c.zone, c.code FROM messages m JOIN clients c ON c.id = m.client_id WHERE mailing_id = %s",
                (mailing_id,),
            ).fetchall()

    def message_ids(self, mailing_id: int) -> set[int]:
        return set(self.zone_and_end_by_message(mailing_id))

    async def arrived(self, mailing_id: int) -> list[Received]:
        """Return the requests of a mailing that the provider received."""
        ids = self.message_ids(mailing_id)
        return [message for message in await self.sandbox.control.messages() if message.id in ids]

    async def until_received(self, count: int, *, timeout: float = 60) -> None:
        async def received() -> bool:
            return (await self.sandbox.control.totals()).received >= count

        await until(received, timeout=timeout, what=f"the provider has received {count} messages")

    def signal_senders(self, number: signal.Signals) -> None:
        for name, process in self.system.processes.items():
            if name.startswith("sender"):
                os.kill(process.pid, number)


@asynccontextmanager
async def world(
    servers: Servers, sandbox: Sandbox, logs: Path, *, senders: int, environment: Environment | None = None
) -> AsyncIterator[World]:
    """A system on emptied servers, with a provider that has received nothing."""
    empty_tables(servers.database_url)
    await empty_queues(servers.broker_url)
    await sandbox.reset()
    async with running_system(servers, sandbox, logs, senders=senders, environment=environment) as system:
        yield World(system, sandbox, servers.database_url)
