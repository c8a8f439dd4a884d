"""Metrics of the notifier. docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

from shared.telemetry.metrics import with_all_labels

MAILS = with_all_labels(
    Counter("mailing_mails_total", "E-mails, by what became of a try to send one", ["outcome"]),
    ("sent", "failed", "refused"),
)
DELIVERIES = with_all_labels(
    Counter("mailing_webhook_deliveries_total", "POSTs to webhooks, by their outcome", ["outcome"]),
    ("delivered", "failed"),
)
DELIVERY_DURATION = Histogram(
    "mailing_webhook_duration_seconds",
    "Time until a receiver answered",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
OPEN_ALERTS = Gauge("mailing_alerts_open", "Alerts that have not ended, as this notifier saw them last")
