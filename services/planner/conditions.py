"""Conditions of the release that no table has: which senders there are, and how long a round takes. Pure.

A planner measures its own rounds. If it is another planner's turn, that one uses its own measurements.
"""

from dataclasses import dataclass

JOB_TAKES = 0.001  # seconds to publish one job, before it was measured
_WEIGHT = 0.2  # of a measurement that is lower than the ones before


@dataclass(slots=True)
class ReleaseConditions:
    """Number of senders, and the seconds that releasing takes."""

    senders: int = 1
    takes_slots: bool = False  # some sender consumes the queue of jobs with slots; those of older releases do not
    delay: float = 0.0  # from the beginning of a round to the last confirmation of RabbitMQ
    job_takes: float = JOB_TAKES
    epoch: int = 0  # of the ledger at the last release
    newest_job: int = 0  # in that epoch

    def is_older(self, epoch: int, newest_job: int) -> bool:
        """Return True if the ledger is older than at the last release: it was restored from a backup."""
        return epoch < self.epoch or (epoch == self.epoch and newest_job < self.newest_job)

    def round_ended(self, seconds: float, publishing: float, jobs: int) -> None:
        """Learn from a round. It believes a higher measurement at once, and lower ones slowly."""
        self.delay = _follow(self.delay, seconds)
        # A handful of jobs says nothing about many, as it mostly waits.
        if jobs >= 20:
            self.job_takes = _follow(self.job_takes, publishing / jobs)


def _follow(known: float, measured: float) -> float:
    return max(measured, known + _WEIGHT * (measured - known))
