"""`make demo`: 10,000 clients by REST, one mailing to half of them, and a reckoning of every single message."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg

from deploy.local.errors import LocalStackError
from deploy.local.processes import Processes
from deploy.local.progress import Progress
from deploy.local.reckoning import Reckoning
from deploy.local.scenario import AUDIENCE, CLIENTS, add_clients, send_mailing
from deploy.local.sinks import FileSink
from deploy.local.stack import Servers
from deploy.local.system import Plan, start_system

SENDERS = 2


def demo(state: Path) -> int:
    """The exit status. The last line of output is the reckoning, once everything has been stopped."""
    progress = Progress()
    try:
        reckoning = _on_a_system_of_its_own(state, progress)
    except (LocalStackError, httpx.HTTPError, psycopg.Error) as error:
        progress.say(f"the demo failed: {error}")
        progress.say(f"logs are in {state}")
        return 1
    problems = reckoning.problems(CLIENTS, AUDIENCE)
    if problems:
        progress.say(f"logs are in {state}")
        progress.say(f"it does not add up: {'; '.join(problems)}")
    print(reckoning.line(), flush=True)
    return 1 if problems else 0


def _on_a_system_of_its_own(state: Path, progress: Progress) -> Reckoning:
    progress.say("starting PostgreSQL and RabbitMQ")
    servers = Servers(state, throwaway=True, say=progress.say)
    with (
        servers.launched(),
        closing(FileSink(state / "services.log")) as sink,
        Processes(sink) as processes,
    ):
        progress.say(f"starting the API, the planner, {SENDERS} senders and the sandbox provider")
        # A line for each of ten thousand clients would take seconds, and tell nothing.
        plan = replace(Plan.on_free_ports(SENDERS), api_log_level="warning")
        start_system(plan, servers, processes, state / "migrate.log")
        # RabbitMQ still boots, which the API does not mind.
        asyncio.run(add_clients(plan, servers.database_url, progress))
        servers.await_ready()
        reckoning = asyncio.run(send_mailing(plan, servers.database_url, processes, progress))
        progress.say("stopping everything")
    return reckoning
