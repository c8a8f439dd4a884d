"""Metrics of the planner: counts of its own work, and the state of the ledger. docs/metrics.md lists them.

Every planner shows the same ledger. So take these gauges from any one planner, and do not add them up.
"""

import math
from collections.abc import Callable, Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.planner.survey_queries import DueLane, RunningMailing, Survey

MESSAGES_EXPANDED = Counter("mailing_messages_expanded_total", "Messages created at the start of mailings")
JOBS_RELEASED = Counter("mailing_jobs_released_total", "Jobs released to the senders")
MESSAGES_RELEASED = Counter("mailing_messages_released_total", "Messages in these jobs")
JOBS_PUT_BACK = Counter("mailing_jobs_put_back_total", "Jobs that RabbitMQ did not take, planned again")
RELEASE_DELAY = Gauge(
    "mailing_release_delay_seconds", "Time that a round of the release takes; slots reach this much further ahead"
)
RELEASES_TAKEN_OVER = Counter(
    "mailing_releases_taken_over_total", "Times that this planner took over from one that kept the release's lock"
)
STOPS_PENDING = Gauge("mailing_stops_pending", "Stopped mailings that some living sender has not confirmed yet")
LEASES_EXPIRED = Counter("mailing_leases_expired_total", "Jobs that no sender reported on within the lease")
MESSAGES_UNREPORTED = Counter(
    "mailing_messages_unreported_total", "Messages of these jobs; they are sent again, or end as uncertain"
)
RESULTS_REFUSED = Counter(
    "mailing_results_refused_total",
    "Results of jobs that were released before the ledger was restored",
)
MESSAGES_AGAIN = Counter("mailing_messages_again_total", "Messages that came back to be tried again")
MESSAGES_SLOWED = Counter(
    "mailing_messages_slowed_total", "Messages that came back again and again without a POST, and wait for that"
)
SLOTS = Counter("mailing_rate_limit_slots_total", "Slots given to messages under a rate limit")
PROVIDER_RATE = Gauge(
    "mailing_rate_limit_messages_per_second", "MAILING_PROVIDER_RATE; infinite when there is no limit"
)
BATCH_REPORTS = Histogram(
    "mailing_report_batch_reports", "Reports recorded in one transaction", buckets=(1, 2, 5, 10, 20, 50, 100, 200)
)
BATCH_RESULTS = Histogram(
    "mailing_report_batch_results",
    "Results recorded in one transaction",
    buckets=(1, 10, 50, 100, 250, 500, 1000, 2000, 4000, 8000),
)
RECORD_DURATION = Histogram(
    "mailing_report_batch_duration_seconds",
    "Time to record a batch of reports",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


def set_provider_rate(rate: float | None) -> None:
    """Show the configured limit of the provider."""
    PROVIDER_RATE.set(math.inf if rate is None else rate)


_OF_MAILING: dict[str, tuple[str, Callable[[RunningMailing], float]]] = {
    "mailing_running_open_messages": ("messages that are in no final status", lambda one: one.open),
    "mailing_running_due_messages": ("open messages that may be sent now", lambda one: one.due),
    "mailing_running_settled_messages": ("messages in a final status", lambda one: one.settled),
    "mailing_running_time_left_seconds": ("seconds until its end", lambda one: one.time_left),
}


class LedgerMetrics(Collector):
    """Last survey of the ledger as metrics; only `mailing_ledger_readable 0` if it cannot be read."""

    def __init__(self) -> None:
        self.survey: Survey | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the last survey."""
        yield GaugeMetricFamily(
            "mailing_ledger_readable",
            "1 if PostgreSQL answered in time",
            self.survey is not None,
        )
        if self.survey is not None:
            yield from _totals(self.survey)
            yield from _running(self.survey)


def _totals(survey: Survey) -> Iterator[Metric]:
    mailings = GaugeMetricFamily("mailing_mailings", "Mailings that have not ended, by state", labels=["state"])
    for state, count in survey.mailings.items():
        mailings.add_metric([state], count)
    yield mailings
    due = GaugeMetricFamily(
        "mailing_due_messages", "Messages that may be sent and wait for their release", labels=["lane"]
    )
    lag = GaugeMetricFamily(
        "mailing_due_lag_seconds", "Seconds for which the first of them has been due", labels=["lane"]
    )
    for lane in DueLane:
        due.add_metric([lane], survey.due[lane].messages)
        lag.add_metric([lane], survey.due[lane].lag)
    yield due
    yield lag
    for name, what, value in (
        (
            "mailing_start_lag_seconds",
            "Seconds for which the first mailing that has not started is due",
            survey.start_lag,
        ),
        ("mailing_jobs_outstanding", "Jobs that are with the senders", survey.jobs_outstanding),
        ("mailing_messages_outstanding", "Messages of these jobs without a result", survey.messages_outstanding),
        ("mailing_open_messages", "Messages in no final status, of mailings that have not ended", survey.open),
        (
            "mailing_held_messages",
            "Messages of running mailings whose client's time zone is not known",
            survey.held,
        ),
        ("mailing_outbox_entries", "Entries that wait for RabbitMQ", survey.outbox_entries),
        ("mailing_outbox_age_seconds", "Seconds for which the first of them has waited", survey.outbox_age),
    ):
        yield GaugeMetricFamily(name, what, value)


def _running(survey: Survey) -> Iterator[Metric]:
    for name, (what, value_of) in _OF_MAILING.items():
        family = GaugeMetricFamily(name, f"One of the running mailings that end first: {what}", labels=["mailing"])
        for one in survey.running:
            family.add_metric([str(one.id)], value_of(one))
        yield family


LEDGER = LedgerMetrics()
REGISTRY.register(LEDGER)
