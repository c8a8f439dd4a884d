"""Metrics of a sender. docs/metrics.md lists them.

Every POST is counted in `Posts`, by plain numbers that become metrics only when they are collected. Results
are counted a batch at a time.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.contracts import Outcome, ReturnReason
from shared.telemetry.metrics import with_all_labels

# Seconds. The longest request time-out is 30.
LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
POSTED = (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.DEFERRED, Outcome.UNCERTAIN)


class Latency:
    """Histogram of seconds. An observation costs half as much as in the library's own."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCIES) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Add an observation."""
        self._counts[bisect_left(LATENCIES, seconds)] += 1
        self._sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts by upper bound, in the form of Prometheus."""
        cumulated, buckets = 0, []
        for bound, count in zip((*LATENCIES, math.inf), self._counts, strict=True):
            cumulated += count
            buckets.append(("+Inf" if bound == math.inf else str(bound), float(cumulated)))
        return buckets

    @property
    def sum(self) -> float:
        """Return the sum of all observations."""
        return self._sum


class Posts(Collector):
    """POSTs to the provider: the number in flight, and the durations of those that have ended."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._by_outcome = {outcome: Latency() for outcome in POSTED}

    def observe(self, outcome: Outcome, seconds: float) -> None:
        """Add the duration of a POST. It is negative if the clock was set back meanwhile, and then counts as 0."""
        self._by_outcome[outcome].observe(seconds if seconds > 0 else 0.0)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, for the registry."""
        yield GaugeMetricFamily(
            "mailing_provider_requests_in_flight", "POSTs to the provider without an answer yet", self.in_flight
        )
        latency = HistogramMetricFamily(
            "mailing_provider_request_duration_seconds",
            "Duration of POSTs to the provider, repeated ones included, by outcome",
            labels=["outcome"],
        )
        for outcome, durations in self._by_outcome.items():
            latency.add_metric([outcome], durations.buckets(), durations.sum)
        yield latency


POSTS = Posts()
REGISTRY.register(POSTS)

CONCURRENCY = Gauge("mailing_sender_concurrency", "Number of POSTs that this sender may have in flight")
BACKLOG = Gauge("mailing_sender_backlog_messages", "Messages of held jobs that wait for their POST")
UNREPORTED = Gauge("mailing_sender_unreported_results", "Results that the broker has not confirmed yet")
BREAKER_OPEN = Gauge("mailing_sender_breaker_open", "1 while only probes are POSTed, because the provider is out")
BREAKER_OPENED = Counter(
    "mailing_sender_breaker_opened_total", "Number of times that the circuit breaker has opened"
)
MAILINGS_SUSPENDED = Counter(
    "mailing_sender_mailings_suspended_total",
    "Number of times that one mailing was only probed, because it failed while others were accepted",
)
PAUSES = Counter(
    "mailing_sender_pauses_total", "Number of times that this process did not run for a second or more"
)
SILENCES = Counter(
    "mailing_sender_silences_total",
    "Number of times that no beacon of a planner arrived for 0.8 s, so that nothing new was begun",
)
RESULTS = with_all_labels(
    Counter("mailing_sender_results_total", "Results that the broker has confirmed, by outcome", ["outcome"]),
    Outcome,
)
RETURNED = with_all_labels(
    Counter(
        "mailing_sender_returned_total",
        "Messages among these that were returned without a POST, by reason",
        ["reason"],
    ),
    ReturnReason,
)
