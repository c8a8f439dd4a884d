"""Measurements of a running system from outside: memory of its processes, and contents of the broker.

Memory is read from Linux's /proc.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx
from aio_pika.abc import AbstractConnection
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from deploy.local.rabbitmq import PrivateRabbitMQ
from shared.broker.connection import close, connect
from shared.topology import SENDER_JOBS, TIMEOUT

Figures = dict[str, int]

_COUNTED = ("rabbitmq_connections", "rabbitmq_channels")


def resident(pid: int) -> int:
    """Resident memory now, in KiB."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most resident memory since `forget_peak`, in KiB. The kernel keeps it: nothing falls between samples."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Lets `peak` begin anew. Only the owner of a process may."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def ratios(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, float]:
    """Return the ratio of each measurement."""
    return {name: after[name] / before[name] for name in before}


class Broker:
    """Asks RabbitMQ. Its own connection and channel count among the `objects`, always."""

    def __init__(self, rabbitmq: PrivateRabbitMQ) -> None:
        self._rabbitmq = rabbitmq
        self._http = httpx.AsyncClient(auth=(rabbitmq.user, rabbitmq.password), trust_env=False, timeout=30)
        self._connection: AbstractConnection | None = None

    async def __aenter__(self) -> Self:
        self._connection = await connect(SecretStr(self._rabbitmq.url), "gauges")
        self._channel = await self._connection.channel()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        if self._connection:
            await close(self._connection)

    async def waiting_jobs(self) -> int:
        """Jobs that no sender has taken yet, in this instant."""
        queue = await self._channel.declare_queue(SENDER_JOBS, passive=True, timeout=TIMEOUT)
        return queue.declaration_result.message_count or 0

    async def objects(self) -> Figures:
        """Return the present numbers of queues, connections and channels.

        The management API shows queues at once and the others seconds later; the metrics do the opposite.
        """
        queues = await self._get(f"{self._rabbitmq.management_url}/api/queues?columns=name")
        families = text_string_to_metric_families((await self._get(self._rabbitmq.metrics_url)).text)
        counts = {family.name: int(family.samples[0].value) for family in families if family.name in _COUNTED}
        return {"queues": len(queues.json()), **counts}

    async def _get(self, url: str) -> httpx.Response:
        return (await self._http.get(url)).raise_for_status()


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise AssertionError(f"/proc/{pid}/status has no {field}")
