"""Rare events on a connection to RabbitMQ, and the order in which the outbox is emptied."""

import asyncio

import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.edge.outbox_relay import BATCH, relay_batch
from shared.broker.connection import close, connect
from shared.broker.publisher import Publisher
from shared.broker.sessions import run_sessions, until_closed
from shared.contracts import EventKind
from shared.database.transactions import transaction
from shared.errors import NotPublished
from shared.ledger.origin import NO_ORIGIN
from shared.ledger.outbox import put_event, put_stop
from shared.topology import JOBS, SENDER_SINGLES, TIMEOUT, declare
from tests.integration.ledger import query

pytestmark = pytest.mark.usefixtures("clean_broker")


async def remove(broker_url: str, queue: str) -> None:
    connection = await connect(SecretStr(broker_url), "tests")
    channel = await connection.channel()
    await channel.queue_delete(queue, timeout=TIMEOUT)
    await close(connection)


async def test_a_session_restarts_when_its_queue_was_deleted(broker_url: str) -> None:
    stopping, begun = asyncio.Event(), asyncio.Queue[None]()
    arrived = asyncio.Queue[bytes]()

    async def session(channel: AbstractChannel) -> None:
        async def on_message(message: AbstractIncomingMessage) -> None:
            await message.ack()
            arrived.put_nowait(message.body)

        queue = await channel.get_queue(SENDER_SINGLES, ensure=False)
        await queue.consume(on_message, timeout=TIMEOUT)
        begun.put_nowait(None)
        await until_closed(channel, stopping)

    sessions = asyncio.create_task(run_sessions(SecretStr(broker_url), "tests session", session, stopping))
    publisher = Publisher(SecretStr(broker_url), "tests publisher")
    async with asyncio.timeout(20):
        await begun.get()
        await remove(broker_url, SENDER_SINGLES)
        await begun.get()
        await publisher.publish(JOBS, "express", b"after it")
        assert await arrived.get() == b"after it"
        stopping.set()
        await sessions
    await publisher.close()


async def test_a_publisher_declares_a_queue_again_that_was_deleted(broker_url: str) -> None:
    publisher = Publisher(SecretStr(broker_url), "tests publisher")
    await publisher.publish(JOBS, "express", b"first")
    await remove(broker_url, SENDER_SINGLES)
    with pytest.raises(NotPublished):
        await publisher.publish(JOBS, "express", b"second")
    await publisher.publish(JOBS, "express", b"third")
    await publisher.close()


async def test_a_stop_waits_behind_no_event(engine: AsyncEngine, broker_url: str) -> None:
    publisher, received = Publisher(SecretStr(broker_url), "tests publisher"), asyncio.Queue[bytes]()
    connection = await connect(SecretStr(broker_url), "tests")
    channel = await connection.channel()
    await declare(channel)
    queue = await channel.declare_queue(exclusive=True, timeout=TIMEOUT)
    await queue.bind("mailing.control", timeout=TIMEOUT)

    async def on_stop(message: AbstractIncomingMessage) -> None:
        received.put_nowait(message.body)

    await queue.consume(on_stop, no_ack=True, timeout=TIMEOUT)
    async with transaction(engine) as ours:
        for _ in range(BATCH + 1):
            await put_event(ours, EventKind.MAILING_CHANGED, 1, NO_ORIGIN)
        await put_stop(ours, 7, 3)
    assert await relay_batch(engine, publisher) == 1
    assert b'"7":3' in await asyncio.wait_for(received.get(), 10)
    assert [await relay_batch(engine, publisher) for _ in range(3)] == [BATCH, 1, 0]
    assert await query(engine, "SELECT count(*) FROM outbox") == [(0,)]
    await publisher.close()
    await close(connection)
