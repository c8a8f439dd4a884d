"""The whole system on one machine: API, console, planner, notifier, senders and the sandbox provider."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx

from deploy.local.errors import CommandError, StartError
from deploy.local.ports import HOST, free_ports, same_ports
from deploy.local.processes import REPOSITORY, Processes, Service
from deploy.local.stack import Servers

READY_PATIENCE = 60.0  # seconds
MIGRATION_PATIENCE = 300.0


@dataclass(frozen=True)
class Plan:
    """Ports of all services."""

    api_port: int
    console_port: int
    provider_port: int
    control_port: int
    planner_port: int  # for its metrics, as those of the notifier and the senders
    notifier_port: int
    sender_ports: Sequence[int]
    api_log_level: str | None = None  # None: as the environment says
    provider_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @classmethod
    def on_free_ports(cls, senders: int) -> Self:
        """Plan with ports that nobody uses."""
        api, console, provider, control, planner, notifier, *each_sender = free_ports(6 + senders)
        return cls(api, console, provider, control, planner, notifier, each_sender)

    @classmethod
    def on_same_ports(cls, file: Path, senders: int, api_port: int, console_port: int) -> Self:
        """Plan with the ports of the last run where they are free; for a port of 0, the service's as well."""
        names = [
            *("api", "console", "sandbox", "sandbox-control", "planner", "notifier"),
            *(f"sender-{number}" for number in range(1, senders + 1)),
        ]
        api, console, provider, control, planner, notifier, *each_sender = same_ports(file, names)
        return cls(api_port or api, console_port or console, provider, control, planner, notifier, each_sender)

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    @property
    def console_url(self) -> str:
        return f"http://{HOST}:{self.console_port}"

    @property
    def control_url(self) -> str:
        return f"http://{HOST}:{self.control_port}"

    @property
    def metrics_urls(self) -> dict[str, str]:
        """Return the addresses of metrics by the service's name."""
        senders = {f"sender-{number}": port for number, port in enumerate(self.sender_ports, 1)}
        ports = {"api": self.api_port, "planner": self.planner_port, "notifier": self.notifier_port, **senders}
        return {name: f"http://{HOST}:{port}/metrics" for name, port in ports.items()}

    def services(self, servers: Servers) -> Iterator[Service]:
        common = {**os.environ, **servers.environment}
        common.setdefault("MAILING_LOG_FORMAT", "json")  # for `mailing logs`
        yield Service(
            "sandbox",
            "deploy.sandbox",
            {**common, "MAILING_SANDBOX_TOKEN": self.provider_token},
            (f"--port={self.provider_port}", f"--control-port={self.control_port}"),
        )
        api = {"MAILING_API_HOST": HOST, "MAILING_API_PORT": str(self.api_port)}
        if self.api_log_level:
            api["MAILING_LOG_LEVEL"] = self.api_log_level
        yield Service("api", "services.api", {**common, **api})
        console = {
            "MAILING_CONSOLE_HOST": HOST,
            "MAILING_CONSOLE_PORT": str(self.console_port),
            "MAILING_API_URL": self.api_url,
        }
        yield Service("console", "services.console", {**common, **console})
        yield Service("planner", "services.planner", {**common, **_metrics_environment(self.planner_port)})
        notifier = {"MAILING_CONSOLE_URL": self.console_url, **_metrics_environment(self.notifier_port)}
        yield Service("notifier", "services.notifier", {**common, **notifier})
        provider = {
            "MAILING_PROVIDER_URL": f"http://{HOST}:{self.provider_port}",
            "MAILING_PROVIDER_TOKEN": self.provider_token,
        }
        for number, port in enumerate(self.sender_ports, 1):
            yield Service(
                f"sender-{number}", "services.sender", {**common, **provider, **_metrics_environment(port)}
            )


def _metrics_environment(port: int) -> dict[str, str]:
    """Return settings with a port per service; a port in the environment would be the same for all."""
    return {"MAILING_METRICS_HOST": HOST, "MAILING_METRICS_PORT": str(port)}


def start_system(plan: Plan, servers: Servers, processes: Processes, log: Path) -> None:
    """Bring the database to the current schema, start all services, and return when they are ready."""
    migrate(servers, log)
    for service in plan.services(servers):
        processes.start(service)
    for url in (f"{plan.control_url}/sandbox/totals", f"{plan.api_url}/readyz", f"{plan.console_url}/readyz"):
        _await_ok(url, processes)


def migrate(servers: Servers, log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        done = subprocess.run(
            [sys.executable, "-m", "shared.cli", "migrate"],
            env={**os.environ, **servers.environment},
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=MIGRATION_PATIENCE,
            check=False,
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise CommandError(f"the database could not be brought to the current schema:\n{tail}")


def _await_ok(url: str, processes: Processes) -> None:
    deadline = time.monotonic() + READY_PATIENCE
    while time.monotonic() < deadline:
        processes.ensure_running()
        try:
            if httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise StartError(f"{url} did not answer with 200 within {READY_PATIENCE:.0f} s")
