"""Rate limits on the running system: what `make rules` shows at length."""

from pathlib import Path

from tests.rules.limits import PROVIDER_RATE, check_limits
from tests.rules.world import world
from tests.sandbox import Sandbox
from tests.servers import Servers


async def test_limits_hold_in_every_second_and_are_used(
    servers: Servers, database_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    own, limit = Servers(database_url, servers.broker_url), {"MAILING_PROVIDER_RATE": str(PROVIDER_RATE)}
    async with world(own, sandbox, tmp_path, senders=2, environment=limit) as here:
        limits = await check_limits(here, steady=4, frozen=4)
    # On a busy machine the provider reads late what came in time, and slots are missed. `make rules`, on a quiet
    # one, asks for 1.05 and 0.95. What was saved up in 4 s and came at once would be far above.
    assert limits.worst <= 1.5
    assert limits.used >= 0.5
