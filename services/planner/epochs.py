"""Epochs of the ledger: refuse reports of another one, and notice that the ledger was restored from a backup."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.planner.observer import PlannerObserver
from shared.contracts import JobReport, Report
from shared.database.transactions import after_commit
from shared.ledger.epochs import Epoch, begin_epoch, find_epoch
from shared.ledger.jobs import LockedJob


async def keep_present_epoch(
    connection: AsyncConnection,
    reports: Sequence[Report],
    jobs: Mapping[int, LockedJob],
    now: datetime,
    observer: PlannerObserver,
) -> Sequence[Report]:
    """Return the reports without the results of jobs that another epoch of the ledger released.

    If a result is about a job, or a release of it, that this ledger does not know yet, the ledger is older than it
    was, and a new epoch begins. Results of senders of an older version have no epoch, and are kept.
    """
    if all(part.epoch is None for report in reports for part in report.jobs):
        return reports
    epoch = await find_epoch(connection)
    if any(_is_from_the_future(part, jobs.get(part.job_id), epoch) for report in reports for part in report.jobs):
        reason = "a report is newer than the ledger"
        number = await begin_epoch(connection, now, reason, instead_of=epoch.number)
        epoch = epoch._replace(number=number)
        after_commit(connection, observer.ledger_restored)
    kept = [
        report.model_copy(update={"jobs": tuple(part for part in report.jobs if _belongs_to(part, epoch))})
        for report in reports
    ]
    refused = sum(map(Report.count_outcomes, reports)) - sum(map(Report.count_outcomes, kept))
    if refused:
        after_commit(connection, lambda: observer.results_of_another_epoch(refused, epoch.number))
    return kept


def _is_from_the_future(part: JobReport, job: LockedJob | None, epoch: Epoch) -> bool:
    if part.epoch != epoch.number:
        return part.epoch is not None and part.epoch > epoch.number
    return part.job_id > epoch.newest_job or (job is not None and part.release > job.release)


def _belongs_to(part: JobReport, epoch: Epoch) -> bool:
    return part.epoch is None or part.epoch == epoch.number
