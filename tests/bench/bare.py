"""The limit: the sender's HTTP engine in a loop, with no queue and no database behind it.

A line `first last` on standard input is a range of message ids to POST, CONCURRENCY at a time.
"""

import asyncio
import os
import sys
from collections.abc import Iterator

import uvloop

from services.sender.adapter import Access, Adapter, Sms
from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import Reply, Request
from services.sender.http.pool import Pool
from services.sender.providers import load_adapter
from services.sender.verdict import Verdict
from shared.contracts import Outcome

CONCURRENCY = int(os.environ["CONCURRENCY"])


class Loop:
    """A `Worker` that POSTs the next id of the range, until there is none."""

    def __init__(self, adapter: Adapter, ids: Iterator[int], text: str) -> None:
        self._adapter = adapter
        self._ids = ids
        self._text = text
        self.is_over = asyncio.Event()

    def take(self) -> tuple[Request, float] | None:
        for message_id in self._ids:
            return self._adapter.encode(Sms(message_id, 79_000_000_000 + message_id, self._text)), 5.0
        self.is_over.set()
        return None

    def finish(self, reply: Reply) -> None:
        verdict: Verdict = self._adapter.judge(reply, 0.0)
        assert verdict.outcome is Outcome.ACCEPTED, reply


async def post_all(ids: Iterator[int], text: str) -> None:
    endpoint = Endpoint.parse(os.environ["PROVIDER_URL"])
    adapter = load_adapter("probe", Access(endpoint, os.environ["PROVIDER_TOKEN"]))
    workers = [Loop(adapter, ids, text) for _ in range(CONCURRENCY)]
    pool = Pool(endpoint, workers, lambda: False, connect_timeout=2.0)
    pool.wake(CONCURRENCY)
    await asyncio.gather(*(worker.is_over.wait() for worker in workers))
    await pool.close()


def main() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            first, last = map(int, line.split())
            runner.run(post_all(iter(range(first, last + 1)), os.environ["TEXT"]))
            print("done", flush=True)


if __name__ == "__main__":
    main()
