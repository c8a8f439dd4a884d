"""`make run`: the whole system until Ctrl-C, with its addresses and every log line on the terminal."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import NoReturn

from deploy.local.access import create_admin_link, create_admin_token, write_token
from deploy.local.errors import CommandError, InUseError, StoppedError
from deploy.local.ports import HOST, is_free
from deploy.local.processes import Processes
from deploy.local.stack import Servers
from deploy.local.system import Plan, start_system
from deploy.local.terminal import TerminalSink

API_PORT_VARIABLE = "MAILING_API_PORT"
API_PORT = 8000
CONSOLE_PORT_VARIABLE = "MAILING_CONSOLE_PORT"
CONSOLE_PORT = 8080
RESTARTS = 5  # of one service, before the run ends
RESTART_PAUSE = 1.0  # seconds


def run(state: Path, senders: int) -> None:
    """Run the system until Ctrl-C, SIGTERM, or the failure of a service that does not stay up."""
    logs = state / "logs"
    plan = Plan.on_same_ports(state / "ports.json", senders, _api_port(), _console_port())
    print("starting PostgreSQL and RabbitMQ …", flush=True)
    try:
        with (
            Servers(state, ports=state / "ports.json") as servers,
            Processes(logs, TerminalSink()) as processes,
        ):
            start_system(plan, servers, processes, logs / "migrate.log")
            link = create_admin_link(servers, plan.console_url)
            token_file = write_token(create_admin_token(servers, "make run"), state / "token")
            print(banner(plan, servers, logs, link, token_file), flush=True)
            try:
                _supervise(processes)
            finally:
                print("stopping …", flush=True)
    except KeyboardInterrupt:  # the ordinary end
        return


def banner(plan: Plan, servers: Servers, logs: Path, sign_in_link: str, token_file: Path) -> str:
    """Return the addresses of everything that a person may want to look at."""
    lines = [
        "",
        f"  sign in             {sign_in_link}",
        "                      works once, within 15 minutes",
        f"  console             {plan.console_url}/",
        f"  API and its docs    {plan.api_url}/docs/",
        f"                      token for a day in {token_file}",
        f"  sandbox provider    {plan.control_url}/docs",
    ]
    lines += [f"  {name + ' metrics':<18}  {url}" for name, url in plan.metrics_urls.items()]
    if rabbitmq := servers.rabbitmq:
        lines += [
            f"  RabbitMQ            {rabbitmq.masked_url}",
            f"  RabbitMQ UI         {rabbitmq.management_url}",
            f"                      user {rabbitmq.user}, password in {rabbitmq.password_file}",
        ]
    if postgres := servers.postgres:
        lines += [
            f"  PostgreSQL          {postgres.masked_url}",
            f"                      password in {postgres.password_file}",
        ]
    return "\n".join([*lines, f"  logs                {logs}/*.log", "", "  Ctrl-C stops everything.", ""])


def _api_port() -> int:
    return _port(API_PORT_VARIABLE, os.environ.get(API_PORT_VARIABLE, str(API_PORT)))


def _console_port() -> int:
    """Return the port of the environment, else the usual one if it is free; 0 stands for any other."""
    if (text := os.environ.get(CONSOLE_PORT_VARIABLE)) is not None:
        return _port(CONSOLE_PORT_VARIABLE, text)
    return CONSOLE_PORT if is_free(CONSOLE_PORT) else 0


def _port(variable: str, text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise CommandError(f"{variable} must be a port number, not {text!r}")
    port = int(text)  # 0: a free one
    if port and not is_free(port):
        raise InUseError(f"port {port} on {HOST} is taken; choose another one: {variable}={port + 1} make run")
    return port


def _supervise(processes: Processes) -> NoReturn:
    """Start again each service that ends: whoever tries the system out may kill one."""
    restarts: Counter[str] = Counter()
    while True:
        for service, status in processes.ended():
            restarts[service.name] += 1
            if restarts[service.name] > RESTARTS:
                raise StoppedError(
                    f"{service.name} ended {restarts[service.name]} times, last with status {status}"
                )
            print(f"{service.name} ended with status {status}: starting it again", flush=True)
            time.sleep(RESTART_PAUSE)
            processes.start(service)
        time.sleep(0.2)
