"""While the provider is out, senders only probe it."""

import time
from datetime import timedelta

from pydantic import SecretStr

from services.notifier.alerts.conditions import Limits, Observations, find_conditions
from services.notifier.alerts.queries import observe_ledger
from shared.alert_rules import AlertKind
from shared.contracts import utc_now
from shared.database.engine import open_engine
from shared.database.transactions import transaction
from tests.e2e.system import System, until
from tests.sandbox import Sandbox

SENDERS = 2


async def test_a_provider_that_is_out_is_only_probed_and_the_mailing_continues_within_5_s(
    system: System, sandbox: Sandbox, database_url: str
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
    assert AlertKind.PROVIDER_OUT in await justified_alerts(database_url)

    await sandbox.control.behave()
    back = time.monotonic()

    async def sending() -> bool:
        return (await sandbox.control.totals()).accepted > 250

    await until(sending, timeout=10, what="messages are sent again")
    assert time.monotonic() - back < 5
    assert await system.until_settled(mailing, 500) == {"sent": 500, "total": 500}
    assert AlertKind.PROVIDER_OUT not in await justified_alerts(database_url)


async def justified_alerts(database_url: str) -> set[AlertKind]:
    """Return the alerts that the notifier would see now in the ledger, the time aside that they must last."""
    engine = open_engine(SecretStr(database_url), "tests", connections=1)
    try:
        async with transaction(engine) as connection:
            view = await observe_ledger(connection, utc_now())
    finally:
        await engine.dispose()
    seen = Observations(
        utc_now(),
        **view._asdict(),
        clock_difference=timedelta(0),
        database_bytes=None,
        dead_letters=None,
        senders=None,
    )
    limits = Limits(1.0, 1.0, timedelta(hours=1), timedelta(hours=1), None)
    return {condition.kind for condition in find_conditions(seen, limits)}
