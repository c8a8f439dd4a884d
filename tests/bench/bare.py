"""The limit: the sender's HTTP engine in a loop, with no queue and no database behind it.

A line `first last` on standard input is a range of message ids to POST, CONCURRENCY at a time.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from datetime import timedelta

import uvloop
from pydantic import SecretStr

from services.sender.judging import PLAIN_BODIES
from services.sender.provider import Provider, open_provider
from services.sender.replies import Answer

CONCURRENCY = int(os.environ["CONCURRENCY"])


async def post(provider: Provider, ids: Iterator[int], text: str) -> None:
    for message_id in ids:
        reply = await provider.send(message_id, 79_000_000_000 + message_id, text, timeout=5)
        assert isinstance(reply, Answer), reply
        assert reply.status == 200, reply
        assert reply.body in PLAIN_BODIES, reply


async def post_all(provider: Provider, ids: Iterator[int], text: str) -> None:
    async with asyncio.TaskGroup() as loops:
        for _ in range(CONCURRENCY):
            loops.create_task(post(provider, ids, text))


def main() -> None:
    provider = open_provider(
        "reqwest",
        os.environ["PROVIDER_URL"],
        SecretStr(os.environ["PROVIDER_TOKEN"]),
        CONCURRENCY,
        timedelta(seconds=2),
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            first, last = map(int, line.split())
            runner.run(post_all(provider, iter(range(first, last + 1)), os.environ["TEXT"]))
            print("done", flush=True)
        runner.run(provider.close())


if __name__ == "__main__":
    main()
