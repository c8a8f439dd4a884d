"""While the provider is out, senders only probe it."""

import time

from tests.e2e.system import System, until
from tests.sandbox import Sandbox

SENDERS = 2


async def test_a_provider_that_is_out_is_only_probed_and_the_mailing_continues_within_5_s(
    system: System, sandbox: Sandbox
) -> None:
    audience = await system.add_audience(500)
    await sandbox.control.behave("error")
    mailing = await system.add_mailing(audience.tag)

    async def most_wait() -> bool:
        page = await system.api.get(f"/api/mailing/{mailing}/messages/", params={"limit": 500})
        tried = sum(1 for message in page.json()["items"] if message["tries"])
        return tried > 0

    await until(most_wait, timeout=15, what="the first messages have failed")
    before, began = (await sandbox.control.totals()).received, time.monotonic()

    async def some_seconds_are_over() -> bool:
        return time.monotonic() > began + 4

    await until(some_seconds_are_over, timeout=10, what="some seconds of the outage are over")
    probes = (await sandbox.control.totals()).received - before
    assert probes <= SENDERS * (time.monotonic() - began + 1)
    page = await system.api.get(f"/api/mailing/{mailing}/messages/", params={"limit": 500})
    assert sum(1 for message in page.json()["items"] if message["tries"]) < 250, "most were not burnt"

    await sandbox.control.behave()
    back = time.monotonic()

    async def sending() -> bool:
        return (await sandbox.control.totals()).accepted > 250

    await until(sending, timeout=10, what="messages are sent again")
    assert time.monotonic() - back < 5
    assert await system.until_settled(mailing, 500) == {"sent": 500, "total": 500}
