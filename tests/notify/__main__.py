"""`python -m tests.notify`: notifiers under random kills, over ten simulated days of reports and 10,000 events.

Three notifiers run. A mail server and receivers of webhooks count what arrives, and refuse some of it. The last
line is `reports_missing=0 reports_repeated_without_crash=0 webhooks_lost=0`. If a number is not 0, the exit status
is 1.
"""

import argparse
import asyncio
import os
import random
import sys
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks.webhooks import Webhook

from deploy.local.leashed_process import LeashedProcess
from deploy.local.stack import Servers
from services.api.edge.outbox_relay import relay_batch
from services.notifier.mail.messages import report_id
from services.notifier.report.days import last_due_day
from shared.broker.publisher import Publisher
from shared.database.engine import open_engine
from shared.database.transactions import transaction
from shared.ledger.deliveries import put_webhook_event
from shared.ledger.migrations import migrate
from shared.ledger.webhooks import WebhookColumns, create_webhook
from shared.webhook_events import WebhookEvent
from shared.webhook_secrets import as_text, new_secret
from tests.mail_server import MailServer, mail_server
from tests.notify.clock import VARIABLE, SimulatedClock
from tests.notify.verdict import Copy, Verdict, judge
from tests.webhook_receiver import Receiver, webhook_receiver

REPOSITORY = Path(__file__).parents[2]
SENDER = "mailing@example.org"
RECIPIENTS = [f"reader-{number}@example.org" for number in range(5)]
ZONE = ZoneInfo("Europe/Berlin")
BEGINNING = datetime(2026, 10, 20, 10, tzinfo=UTC)  # the clocks change in the night of the 25th
NOTIFIERS, RECEIVERS, MAILINGS = 3, 4, 40
FAILED_ANSWERS = 0.01


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command."""

    seed: int
    days: int
    events: int  # over all receivers
    seconds_of_day: float
    pause: float  # seconds between kills, on average
    patience: float  # seconds for what is open after the last day


@dataclass(slots=True)
class Notifiers:
    """Processes that are killed and started again, and when each was killed."""

    environment: dict[str, str]
    log: Path
    kills: dict[str, float] = field(default_factory=dict)
    _started: int = 0
    _running: dict[int, tuple[str, LeashedProcess]] = field(default_factory=dict)

    def start(self, place: int) -> None:
        self._started += 1
        name = f"notifier-{self._started}"
        with self.log.open("ab") as output:
            process = LeashedProcess(
                [sys.executable, "-m", "tests.notify.notifier"],
                output=output,
                env={**os.environ, **self.environment, "MAILING_HOST_NAME": name},
                cwd=REPOSITORY,
            )
        self._running[place] = name, process

    def kill(self, place: int) -> None:
        name, process = self._running[place]
        process.kill()
        self.kills[name] = time.time()
        process.stop()

    def stop(self) -> None:
        for _, process in self._running.values():
            process.stop()


@dataclass(frozen=True, slots=True)
class World:
    """Servers, receivers and processes of one run."""

    options: Options
    engine: AsyncEngine
    database_url: str
    mails: MailServer
    receivers: list[Receiver]
    notifiers: Notifiers
    clock: SimulatedClock
    secrets: list[str]
    began: float = field(default_factory=time.monotonic)


def arguments() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.notify", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--seconds-of-day", type=float, default=7.0)
    parser.add_argument("--pause", type=float, default=2.0)
    parser.add_argument("--patience", type=float, default=120.0)
    return Options(**vars(parser.parse_args()))


async def main(options: Options) -> bool:
    """Run the days, and print the verdict; return True if all is well."""
    print(f"notify: seed {options.seed}", flush=True)
    random.seed(options.seed)
    state = REPOSITORY / ".local" / "notify"
    (state / "logs").mkdir(parents=True, exist_ok=True)
    with Servers(state / "servers", throwaway=True, environment={}) as servers:
        migrate(SecretStr(servers.database_url))
        async with AsyncExitStack() as stack:
            receivers = [await stack.enter_async_context(webhook_receiver()) for _ in range(RECEIVERS)]
            mails = stack.enter_context(mail_server(state, encrypted=False))
            engine = open_engine(SecretStr(servers.database_url), "notify")
            stack.push_async_callback(engine.dispose)
            secrets = [await add_webhook(engine, receiver) for receiver in receivers]
            file = state / "began"
            file.unlink(missing_ok=True)
            clock = SimulatedClock(BEGINNING, options.days, options.seconds_of_day, file)
            notifiers = Notifiers(environment(servers, mails, clock), state / "logs" / "notifiers.log")
            world = World(options, engine, servers.database_url, mails, receivers, notifiers, clock, secrets)
            verdict = await run(world, servers.broker_url)
    print(verdict.line(), flush=True)
    return verdict.is_good


def environment(servers: Servers, mails: MailServer, clock: SimulatedClock) -> dict[str, str]:
    return {
        **servers.environment,
        VARIABLE: clock.as_text(),
        "MAILING_SMTP_HOST": "127.0.0.1",
        "MAILING_SMTP_PORT": str(mails.port),
        "MAILING_SMTP_SECURITY": "none",
        "MAILING_SMTP_TIMEOUT": "2",
        "MAILING_MAIL_FROM": SENDER,
        "MAILING_REPORT_TO": ",".join(RECIPIENTS),
        "MAILING_REPORT_ZONE": ZONE.key,
        "MAILING_REPORT_EMPTY_DAYS": "true",
        "MAILING_WEBHOOK_ALLOW": "127.0.0.0/8",
        "MAILING_WEBHOOK_TIMEOUT": "2",
        "MAILING_LOG_FORMAT": "json",
    }


async def add_webhook(engine: AsyncEngine, receiver: Receiver) -> str:
    """Create a webhook of the receiver, and return its secret."""
    secret = new_secret()
    columns = WebhookColumns("notify", receiver.url, [WebhookEvent.MAILING_LATE.value], "singles")
    async with transaction(engine) as connection:
        await create_webhook(connection, columns, secret)
    return as_text(secret)


async def run(world: World, broker_url: str) -> Verdict:
    """Let the days pass, wait for what is open, and judge."""
    for place in range(NOTIFIERS):
        world.notifiers.start(place)
    publisher = Publisher(SecretStr(broker_url), "notify publisher")
    try:
        await first_reports(world)
        world.clock.start()
        await asyncio.gather(kill_now_and_then(world), put_events(world, publisher), refuse_some(world))
        # The last day is over; nothing more becomes due.
        await settle(world)
    finally:
        world.notifiers.stop()
        await publisher.close()
    return reckon(world)


async def first_reports(world: World) -> None:
    """Wait until the notifiers work: they report the day before the first one."""
    async with asyncio.timeout(world.options.patience):
        while len(world.mails.received) < len(RECIPIENTS):  # noqa: ASYNC110 - they arrive in a thread
            await asyncio.sleep(0.1)


async def kill_now_and_then(world: World) -> None:
    while (left := world.clock.seconds_left()) > 0:
        await asyncio.sleep(min(left, random.expovariate(1 / world.options.pause)))
        place = random.randrange(NOTIFIERS)
        await asyncio.to_thread(world.notifiers.kill, place)
        world.notifiers.start(place)


async def put_events(world: World, publisher: Publisher) -> None:
    """Write the events over all days, each for all receivers, and publish the wake-ups as the API does."""
    wanted = world.options.events // RECEIVERS
    for number in range(wanted):
        async with transaction(world.engine) as connection:
            data: dict[str, object] = {"n": number, "mailing_id": number % MAILINGS + 1}
            now = datetime.now(UTC)
            await put_webhook_event(connection, WebhookEvent.MAILING_LATE, data, now, number % MAILINGS + 1)
        if number % 100 == 0:
            await relay_batch(world.engine, publisher)
        await asyncio.sleep(max(0, world.clock.seconds_left() - 5) / (wanted - number))


async def refuse_some(world: World) -> None:
    """Let the receivers and the mail server refuse some of what arrives."""
    while world.clock.seconds_left() > 0:
        await asyncio.sleep(0.5)
        for receiver in world.receivers:
            if random.random() < FAILED_ANSWERS * 20:
                receiver.answers.append(random.choice([500, 503, 302]))
        if random.random() < 0.1:
            world.mails.to_rcpt.append("451 try again later")


async def settle(world: World) -> None:
    """Wait until everything has arrived, or patience ends."""
    deadline = time.monotonic() + world.options.patience
    with psycopg.connect(world.database_url, autocommit=True) as database:
        while time.monotonic() < deadline:
            row = database.execute(
                "SELECT (SELECT count(*) FROM deliveries WHERE delivered_at IS NULL),"
                " (SELECT count(*) FROM mails WHERE day IS NOT NULL AND sent_at IS NULL)"
            ).fetchone()
            # Pauses before retries are the product's, and longer than a run: they are over at once here.
            database.execute("UPDATE mails SET next_at = now() WHERE sent_at IS NULL AND next_at > now()")
            database.execute(
                "UPDATE deliveries SET next_at = now() WHERE delivered_at IS NULL AND next_at > now()"
            )
            if row == (0, 0) and not missing_reports(world):
                return
            await asyncio.sleep(0.5)


def missing_reports(world: World) -> set[str]:
    return expected_reports(world) - {mail.message_id.strip("<>") for mail in world.mails.received}


def expected_reports(world: World) -> set[str]:
    """Return the ids of the reports: of the day before the first simulated one, and of every one."""
    first = last_due_day(BEGINNING, time_of_day(9), ZONE)
    return {
        report_id(first + timedelta(days=day), recipient, SENDER)
        for day in range(world.options.days + 1)
        for recipient in RECIPIENTS
    }


def reckon(world: World) -> Verdict:
    copies = [Copy(mail.message_id.strip("<>"), mail.client_name, mail.at) for mail in world.mails.received]
    with psycopg.connect(world.database_url) as database:
        rows = database.execute("SELECT webhook_id, event_id::text FROM deliveries").fetchall()
    arrived = [
        f"{number} {event.id}" for number, receiver in enumerate(world.receivers, 1) for event in receiver.events
    ]
    verdict = judge(
        expected_reports(world), copies, world.notifiers.kills, [f"{one} {event}" for one, event in rows], arrived
    )
    print(
        f"notify: days={world.options.days} reports={len(copies)} events={len(rows)} posts={len(arrived)}"
        f" kills={len(world.notifiers.kills)} out_of_order={count_out_of_order(world)}"
        f" badly_signed={count_badly_signed(world)} seconds={time.monotonic() - world.began:.0f}",
        flush=True,
    )
    return verdict


def count_out_of_order(world: World) -> int:
    """Return how many events arrived for the first time after a later one of the same mailing."""
    wrong = 0
    for receiver in world.receivers:
        last: dict[int, int] = defaultdict(lambda: -1)
        seen: set[str] = set()
        for event in receiver.events:
            if event.id not in seen:
                seen.add(event.id)
                data = event.content["data"]
                wrong += data["n"] < last[data["mailing_id"]]
                last[data["mailing_id"]] = max(data["n"], last[data["mailing_id"]])
    return wrong


def count_badly_signed(world: World) -> int:
    """Return how many events the reference library does not accept; it looks at a sample of each receiver."""
    wrong = 0
    for receiver, secret in zip(world.receivers, world.secrets, strict=True):
        for event in receiver.events[-100:]:
            try:
                Webhook(secret).verify(event.body, event.headers)
            except Exception:  # noqa: BLE001 - whatever it is, it is counted
                wrong += 1
    return wrong


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(arguments())) else 1)
