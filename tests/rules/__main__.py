"""`python -m tests.rules`: local windows, previews, control, limits, fairness and the express lane, held against
the running system, as the provider sees it.

The last line is `rules: zones=… cases=… outside_window=0 after_end=0 pause_ms_max=… limit_worst_second=…
limit_used=… express_p95_ms=…`; exit status 1 if any bound is broken.
"""

import asyncio
import shutil
import sys
import time
from pathlib import Path

from pydantic import SecretStr

from deploy.local.stack import Servers as PrivateServers
from shared.ledger.migrations import migrate
from tests.rules.control import check_control
from tests.rules.limits import PROVIDER_RATE, check_limits
from tests.rules.previews import check_preview
from tests.rules.sharing import check_express, check_fairness
from tests.rules.windows import check_windows
from tests.rules.world import world
from tests.sandbox import running_sandbox
from tests.servers import Servers

REPOSITORY = Path(__file__).parents[2]
SENDERS = (1, 4, 8)

# The bounds
PAUSE_MS = 1000
WORST_SECOND = 1.05
USED = 0.95
UNFAIR = 0.2
FORECAST = 0.01
EXPRESS_MS = 1000


async def run(servers: Servers, logs: Path) -> bool:
    """All checks, one after the other; whether every bound holds."""
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    limited = {"MAILING_PROVIDER_RATE": str(PROVIDER_RATE)}
    async with running_sandbox() as sandbox:
        async with world(servers, sandbox, logs, senders=2) as here:
            windows, preview = await asyncio.gather(check_windows(here), check_preview(here))
        tell(str(windows))
        tell(f"where nothing is late: {preview}")
        async with world(servers, sandbox, logs, senders=4) as here:
            pause_ms, lost_or_repeated = await check_control(here)
        tell(f"control: the last POST {pause_ms:.0f} ms after the answer; lost or repeated: {lost_or_repeated}")
        limits = []
        for senders in SENDERS:
            async with world(servers, sandbox, logs, senders=senders, environment=limited) as here:
                limits.append(await check_limits(here))
            tell(f"limits with {senders} senders: {limits[-1]}")
        async with world(servers, sandbox, logs, senders=2) as here:
            unfair = await check_fairness(here)
            tell(f"fairness: the one that got least is {unfair:.0%} behind")
            await sandbox.control.forget()
            express_ms, missing = await check_express(here)
        tell(f"express: {express_ms:.0f} ms at the 95th percentile; not arrived just once: {missing}")
    worst, used = max(one.worst for one in limits), min(one.used for one in limits)
    print(
        f"rules: zones={windows.zones} cases={windows.cases} outside_window={windows.outside}"
        f" after_end={windows.after_end} pause_ms_max={pause_ms:.0f} limit_worst_second={worst:.3f}"
        f" limit_used={used:.3f} express_p95_ms={express_ms:.0f}"
    )
    return (
        not (windows.outside or windows.after_end or windows.wrong or lost_or_repeated or missing)
        and not (windows.miscounted or preview.miscounted or preview.late)
        and preview.off <= preview.allowed
        and pause_ms <= PAUSE_MS
        and worst <= WORST_SECOND
        and used >= USED
        and unfair <= UNFAIR
        and windows.forecast <= FORECAST
        and express_ms < EXPRESS_MS
    )


def main() -> int:
    state = REPOSITORY / ".local" / "rules"
    logs = state / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with PrivateServers(state / "servers", throwaway=True, environment={}) as servers:
        migrate(SecretStr(servers.database_url))
        return 0 if asyncio.run(run(Servers(servers.database_url, servers.broker_url), logs)) else 1


if __name__ == "__main__":
    sys.exit(main())
