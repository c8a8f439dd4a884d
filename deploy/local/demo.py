"""`make demo`: add 10,000 clients by REST, send one mailing to half of them, and account for every message."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg

from deploy.local.access import create_admin_link, create_admin_token
from deploy.local.errors import LocalStackError
from deploy.local.processes import Processes
from deploy.local.progress import Progress
from deploy.local.reckoning import Reckoning
from deploy.local.scenario import AUDIENCE, CLIENTS, add_clients, send_mailing
from deploy.local.stack import Servers
from deploy.local.system import Plan, start_system

SENDERS = 2


def demo(state: Path) -> int:
    """Run the demo and return the exit status. The last line of output is the reckoning."""
    progress = Progress()
    logs = state / "logs"
    try:
        reckoning = _run(state, logs, progress)
    except (LocalStackError, httpx.HTTPError, psycopg.Error) as error:
        progress.print_line(f"the demo failed: {error}")
        progress.print_line(f"logs are in {logs}")
        return 1
    problems = reckoning.problems(CLIENTS, AUDIENCE)
    if problems:
        progress.print_line(f"logs are in {logs}")
        progress.print_line(f"the numbers do not add up: {'; '.join(problems)}")
    print(reckoning.line(), flush=True)
    return 1 if problems else 0


def _run(state: Path, logs: Path, progress: Progress) -> Reckoning:
    progress.print_line("starting PostgreSQL and RabbitMQ")
    servers = Servers(state, throwaway=True, notify=progress.print_line)
    with servers.launched(), Processes(logs) as processes:
        progress.print_line(f"starting the API, the planner, {SENDERS} senders and the sandbox provider")
        # At level info the API logs a line per request: ten thousand of them would take seconds.
        plan = replace(Plan.on_free_ports(SENDERS), api_log_level="warning")
        start_system(plan, servers, processes, logs / "migrate.log")
        token = create_admin_token(servers, "demo")
        progress.print_line(f"the console, while the demo runs: {create_admin_link(servers, plan.console_url)}")
        servers.ensure_running()
        # The API takes clients while RabbitMQ still boots.
        asyncio.run(add_clients(plan, token, servers.database_url, progress))
        servers.await_ready()
        reckoning = asyncio.run(send_mailing(plan, token, servers.database_url, processes, progress))
        progress.print_line("stopping everything")
    return reckoning
