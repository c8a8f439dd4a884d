"""Many mailings at once, each of them small or slow."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

from shared.contracts import utc_now
from tests.e2e.system import running_system, until
from tests.sandbox import Sandbox
from tests.servers import Servers

LIMITED = 60
SMALL = 60
CLIENTS = 20


async def test_many_mailings_with_a_small_rate_and_many_small_ones_run_side_by_side(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A sender holds fewer jobs without a limit than there are mailings with a limit here."""
    async with running_system(own_servers, sandbox, tmp_path) as system:
        audience = await system.add_audience(CLIENTS)
        starts_at = utc_now() + timedelta(seconds=3)
        limited = [
            system.add_mailing(audience.tag, rate=1, starts_at=starts_at, text="limited") for _ in range(LIMITED)
        ]
        small = [system.add_mailing(audience.tag, starts_at=starts_at, text="small") for _ in range(SMALL)]
        await asyncio.gather(*limited, *small)

        async def received(count: int) -> bool:
            return (await sandbox.control.totals()).received >= count

        await until(lambda: received(1), timeout=20, what="the first message")
        began = time.monotonic()
        await until(lambda: received(SMALL * CLIENTS + LIMITED * 5), timeout=20, what="five of each with a rate")
        assert time.monotonic() - began > 3.5, "no mailing exceeds its rate"
        totals = await sandbox.control.totals()
        assert totals.duplicated == 0
