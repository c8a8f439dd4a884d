"""What a sender measures. docs/metrics.md lists it.

The way of every POST leads through `Posts`: plain numbers, which become metrics when somebody asks for them.
Results are counted a batch at a time.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.contracts import Outcome, Result, ReturnReason
from shared.telemetry.metrics import with_all_labels

# Seconds. The longest request time-out is 30.
LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
POSTED = (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.DEFERRED, Outcome.UNCERTAIN)


class Latency:
    """A histogram that costs half of what the library's costs to add to."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCIES) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(LATENCIES, seconds)] += 1
        self._sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, by upper bound, as Prometheus has them."""
        cumulated, buckets = 0, []
        for bound, count in zip((*LATENCIES, math.inf), self._counts, strict=True):
            cumulated += count
            buckets.append(("+Inf" if bound == math.inf else str(bound), float(cumulated)))
        return buckets

    @property
    def sum(self) -> float:
        return self._sum


class Posts(Collector):
    """POSTs to the provider: those in flight, and how long those took that have ended."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._by_outcome = {outcome: Latency() for outcome in POSTED}

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """One more has ended; a clock that was set back meanwhile counts as no time."""
        self._by_outcome[outcome].observe(seconds if seconds > 0 else 0.0)

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "mailing_provider_requests_in_flight", "POSTs to the provider without an answer yet", self.in_flight
        )
        latency = HistogramMetricFamily(
            "mailing_provider_request_duration_seconds",
            "POSTs to the provider, repeats included, by what the answer said",
            labels=["outcome"],
        )
        for outcome, taken in self._by_outcome.items():
            latency.add_metric([outcome], taken.buckets(), taken.sum)
        yield latency


POSTS = Posts()
REGISTRY.register(POSTS)

CONCURRENCY = Gauge("mailing_sender_concurrency", "How many POSTs this sender may have in flight")
BACKLOG = Gauge("mailing_sender_backlog_messages", "Messages in hand that wait for their POST")
UNREPORTED = Gauge("mailing_sender_unreported_results", "Results that the broker does not have yet")
BREAKER_OPEN = Gauge("mailing_sender_breaker_open", "1 while only probes are POSTed, as the provider is out")
BREAKER_OPENED = Counter("mailing_sender_breaker_opened_total", "How often the circuit breaker has opened")
RESULTS = with_all_labels(
    Counter("mailing_sender_results_total", "Messages reported, by outcome, confirmed by the broker", ["outcome"]),
    Outcome,
)
RETURNED = with_all_labels(
    Counter("mailing_sender_returned_total", "Of these, those given back untried, by reason", ["reason"]),
    ReturnReason,
)


def count_reported(accepted: int, others: Iterable[Result]) -> None:
    """A batch of results was reported: so many plain acceptances, and the others."""
    RESULTS.labels(Outcome.ACCEPTED).inc(accepted)
    for result in others:
        RESULTS.labels(result.outcome).inc()
        if result.reason is not None:
            RETURNED.labels(result.reason).inc()
