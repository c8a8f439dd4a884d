"""The ledger's part of a mailing, and nothing else: the statements of the planner, one after the other.

No API, no broker, no sender. The planner's own functions expand, release and record, in batches of the size that
they have in the running system.
"""

import time
from collections.abc import Sequence
from datetime import timedelta

from pydantic import SecretStr

from services.planner import claiming
from services.planner.capacity import Shares
from services.planner.expansion import expand_batch
from services.planner.outcomes import Policy
from services.planner.recording import record
from services.planner.settings import PlannerSettings
from shared.contracts import Acceptance, Job, JobReport, Report, utc_now
from shared.database.engine import open_engine
from shared.database.transactions import transaction
from tests.integration.ledger import add_mailing

JOBS_PER_ROUND = 25  # as `services.planner.release` does it
POLICY = Policy(
    idempotent=True,
    backoff_first=timedelta(seconds=5),
    backoff_most=timedelta(minutes=10),
    redelivery_grace=timedelta(seconds=10),
    circuit_pause=timedelta(seconds=1),
)


async def settle_a_mailing(database_url: str, tag: str) -> float:
    """Make, release and settle all messages of a mailing to the tag. Return the seconds that it took."""
    settings = PlannerSettings(
        database_url=SecretStr(database_url), broker_url=SecretStr("amqp://nobody@localhost/")
    )
    engine = open_engine(settings.database_url, "bench")
    try:
        mailing_id = await add_mailing(engine, tag=tag)
        began = time.perf_counter()
        while True:
            progress = await expand_batch(
                engine, mailing_id, chunk=settings.chunk_size, batch=settings.expand_batch, now=utc_now()
            )
            assert progress is not None, "nobody else is at it"
            if progress.is_complete:
                break
        while True:
            now = utc_now()
            async with transaction(engine) as connection:
                shares = Shares({mailing_id: JOBS_PER_ROUND * settings.chunk_size})
                jobs = await claiming.claim(connection, shares, {mailing_id: 0}, now + settings.lease, now)
            if not jobs:
                return time.perf_counter() - began
            await record(engine, [_report(jobs)], now=utc_now(), policy=POLICY, chunk=settings.chunk_size)
    finally:
        await engine.dispose()


def _report(jobs: Sequence[Job]) -> Report:
    at_ms = int(time.time() * 1000)
    parts = tuple(
        JobReport(
            job_id=job.job_id,
            release=job.release,
            mailing_id=job.mailing_id,
            accepted=tuple(Acceptance(message.id, at_ms, 1) for message in job.messages),
        )
        for job in jobs
    )
    return Report(sender="bench", jobs=parts)
