"""What the services count, for Prometheus: the default registry of this process."""

from prometheus_client import Counter

DEAD_LETTERED = Counter(
    "mailing_dead_letters_total", "Messages that could not be handled, by the queue they came from", ["queue"]
)
