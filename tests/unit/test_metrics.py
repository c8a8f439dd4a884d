"""Metrics, and the documentation, alerts and dashboard that use exactly these."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

import services.api.edge.metrics
import services.notifier.metrics  # noqa: F401 - for what it registers
import shared.telemetry.log_stream  # noqa: F401 - for what it registers
from services.planner.metrics import LedgerMetrics
from services.planner.survey_queries import Due, DueLane, RunningMailing, Survey
from services.sender.metrics import Posts
from shared.contracts import Outcome
from shared.telemetry.metrics import exposition

REPOSITORY = Path(__file__).parents[2]
PROMETHEUS = REPOSITORY / "deploy/prometheus"
GRAFANA = REPOSITORY / "deploy/grafana/provisioning"
NAME = re.compile(r"\b(?:mailing|rabbitmq)_\w+|\bprocess_\w+")

SURVEY = Survey(
    mailings={"scheduled": 1, "running": 2, "paused": 0},
    due={DueLane.EXPRESS: Due(0, 0.0), DueLane.ORDINARY: Due(500, 12.5)},
    start_lag=0.0,
    jobs_outstanding=3,
    messages_outstanding=250,
    open=1_000,
    held=30,
    outbox_entries=1,
    outbox_age=0.25,
    running=(RunningMailing(7, 900, 500, 100, 3600.0),),
)


def ledger_metrics(survey: Survey | None) -> dict[str, float]:
    """Return the metrics of a survey, by name and labels."""
    ledger = LedgerMetrics()
    ledger.survey = survey
    return {
        _key(sample.name, sample.labels): sample.value for metric in ledger.collect() for sample in metric.samples
    }


def _key(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(f'{label}={value}' for label, value in labels.items())}}}" if labels else name


def all_metrics() -> Iterator[Metric]:
    """Yield the metrics that the services define."""
    ledger = LedgerMetrics()
    ledger.survey = SURVEY
    yield from ledger.collect()
    yield from (metric for metric in REGISTRY.collect() if metric.name.startswith("mailing_"))


def documented_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def series_names() -> set[str]:
    """Return all names that a query may use."""
    names = {sample.name for metric in all_metrics() for sample in metric.samples}
    for metric in all_metrics():
        if metric.type == "histogram":
            names |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            names.add(documented_name(metric))
    return names | {sample.name for metric in REGISTRY.collect() for sample in metric.samples}


def panel_queries() -> Iterator[str]:
    """Yield every expression of the dashboard."""
    dashboard = json.loads((GRAFANA / "dashboards/mailing.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def queries() -> Iterator[str]:
    """Yield every expression of the dashboard and the alerts."""
    yield from panel_queries()
    yield (PROMETHEUS / "alerts.yml").read_text()


def test_every_metric_is_in_the_documentation_and_no_other() -> None:
    text = (REPOSITORY / "docs/metrics.md").read_text()
    described = set(re.findall(r"^\| `(mailing_\w+)` \|", text, re.MULTILINE))
    assert described == {documented_name(metric) for metric in all_metrics()}


def test_every_alert_is_in_the_documentation_and_no_other() -> None:
    described = set(re.findall(r"^\| `([A-Z]\w+)` \|", (REPOSITORY / "docs/metrics.md").read_text(), re.MULTILINE))
    assert described == set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text()))


def test_dashboard_and_alerts_query_metrics_that_exist() -> None:
    queried = {name for query in queries() for name in NAME.findall(query)}
    assert len(queried) > 30
    others = {name for name in queried if name.startswith("rabbitmq_")}
    assert others == {"rabbitmq_detailed_queue_messages"}
    assert queried - others <= series_names()


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads((GRAFANA / "dashboards/mailing.json").read_text())["panels"]
    places = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(places) == len(set(places))
    assert all(x < 24 for x, _ in places)
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
)
def test_prometheus_takes_its_configuration_and_the_alerts_fire_when_they_should(
    arguments: tuple[str, ...],
) -> None:
    assert run_promtool(*arguments) == "ok"


def test_every_query_of_the_dashboard_can_be_parsed(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(panel_queries())]
    path = tmp_path / "rules.json"  # which is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert run_promtool("check", "rules", str(path)) == "ok"


def run_promtool(*arguments: str) -> str:
    """Return `ok`, or the output with the complaint."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    return "ok" if done.returncode == 0 else done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text()))
    tested = set(re.findall(r"alertname: (\w+)", (PROMETHEUS / "alerts_test.yml").read_text()))
    assert tested == alerts


def test_every_value_of_a_label_has_a_series_from_the_start() -> None:
    families = {family.name: family for family in text_string_to_metric_families(exposition().decode())}
    for name, values in {
        "mailing_messages_settled": {"sent", "failed", "expired", "canceled", "uncertain"},
        "mailing_sender_results": {"accepted", "rejected", "deferred", "uncertain", "expired", "returned"},
        "mailing_sender_returned": {
            *{"shutdown", "stopped", "lease_over", "circuit_open", "late", "redelivered"},
        },
    }.items():
        assert {next(iter(sample.labels.values())) for sample in families[name].samples} == values


def test_a_histogram_of_posts_adds_up() -> None:
    posts, registry = Posts(), CollectorRegistry()
    registry.register(posts)
    for seconds in (0.005, 0.0051, 0.3, 31.0, -1.0):
        posts.observe(Outcome.ACCEPTED, seconds)
    posts.observe(Outcome.REJECTED, 0.02)
    name = "mailing_provider_request_duration_seconds"

    def below(bound: str) -> float | None:
        return registry.get_sample_value(f"{name}_bucket", {"outcome": "accepted", "le": bound})

    assert [below(bound) for bound in ("0.005", "0.01", "0.25", "0.5", "30.0", "+Inf")] == [2, 3, 3, 4, 4, 5]
    assert registry.get_sample_value(f"{name}_count", {"outcome": "accepted"}) == 5
    assert registry.get_sample_value(f"{name}_sum", {"outcome": "accepted"}) == pytest.approx(31.3101)
    assert registry.get_sample_value(f"{name}_count", {"outcome": "rejected"}) == 1


def test_the_metrics_of_the_ledger_are_those_of_the_survey() -> None:
    metrics = ledger_metrics(SURVEY)
    assert metrics["mailing_ledger_readable"] == 1
    assert metrics["mailing_mailings{state=running}"] == 2
    assert metrics["mailing_due_messages{lane=ordinary}"] == 500
    assert metrics["mailing_due_lag_seconds{lane=ordinary}"] == 12.5
    assert metrics["mailing_held_messages"] == 30
    assert metrics["mailing_running_open_messages{mailing=7}"] == 900
    assert metrics["mailing_running_settled_messages{mailing=7}"] == 100


def test_a_ledger_that_cannot_be_read_has_no_other_metric() -> None:
    assert ledger_metrics(None) == {"mailing_ledger_readable": 0}
