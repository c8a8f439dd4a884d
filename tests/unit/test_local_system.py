"""The system of `make run`: who runs, and where."""

from pathlib import Path

import pytest

from deploy.local.run import banner
from deploy.local.stack import BROKER_VARIABLE, DATABASE_VARIABLE, Servers
from deploy.local.system import Plan


def test_every_service_has_its_metrics_on_a_port_of_its_own_and_the_address_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILING_METRICS_PORT", "9000")  # which all of them would try to have
    servers = Servers(
        tmp_path, environment={DATABASE_VARIABLE: "postgresql://there", BROKER_VARIABLE: "amqp://there"}
    )
    plan = Plan.on_free_ports(senders=3)
    of_their_own = {
        service.name: f"http://127.0.0.1:{service.environment['MAILING_METRICS_PORT']}/metrics"
        for service in plan.services(servers)
        if service.name.startswith(("planner", "notifier", "sender"))
    }
    assert set(of_their_own) == {"planner", "notifier", "sender-1", "sender-2", "sender-3"}
    assert plan.metrics_urls == {"api": f"{plan.api_url}/metrics", **of_their_own}
    assert len(set(plan.metrics_urls.values())) == 6
    assert all(url in banner(plan, servers, tmp_path, "link", tmp_path) for url in plan.metrics_urls.values())
