"""The demo's reckoning: what the database says against what the provider got. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

UNSETTLED = {"new", "active"}


@dataclass(frozen=True, slots=True)
class Message:
    """A row of the ledger, as the database has it."""

    id: int
    client_id: int
    status: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the provider got of one message id; instants in seconds since the Unix epoch."""

    count: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class Reckoning:
    clients: int
    matched: int
    sent: int
    failed: int
    lost: int
    duplicated: int
    strangers: int  # ids that the provider got and the database does not know
    start_delay_ms: int
    rate: int  # messages per second

    def line(self) -> str:
        return (
            f"demo: clients={self.clients} matched={self.matched} sent={self.sent} failed={self.failed} "
            f"lost={self.lost} duplicated={self.duplicated} "
            f"start_delay_ms={self.start_delay_ms} rate={self.rate}/s"
        )

    def problems(self, clients: int, audience: int) -> list[str]:
        """What does not add up, given how many clients were loaded and how many of them have the tag."""
        expected = {"clients": clients, "matched": audience, "sent": self.matched}
        expected |= dict.fromkeys(("failed", "lost", "duplicated", "strangers"), 0)
        found = {name: getattr(self, name) for name in expected}
        wrong = [
            f"{name} is {found[name]}, not {number}" for name, number in expected.items() if found[name] != number
        ]
        return wrong + ([f"sending began {-self.start_delay_ms} ms too early"] if self.start_delay_ms < 0 else [])


def reckon(
    *,
    clients: int,
    audience: Collection[int],
    messages: Collection[Message],
    arrivals: Mapping[int, Arrival],
    starts_at: datetime,
) -> Reckoning:
    """`audience` are client ids, `arrivals` are by message id."""
    called_sent = [message for message in messages if message.status == "sent"]
    sent = sum(message.id in arrivals for message in called_sent)
    settled_clients = {message.client_id for message in messages if message.status not in UNSETTLED}
    first_at = min((arrival.first_at for arrival in arrivals.values()), default=0.0)
    last_at = max((arrival.last_at for arrival in arrivals.values()), default=0.0)
    return Reckoning(
        clients=clients,
        matched=len(messages),
        sent=sent,
        failed=sum(message.status not in UNSETTLED | {"sent"} for message in messages),
        lost=len(called_sent) - sent + len(set(audience) - settled_clients),
        duplicated=sum(arrival.count > 1 for arrival in arrivals.values()),
        strangers=len(arrivals.keys() - {message.id for message in messages}),
        start_delay_ms=round((first_at - starts_at.timestamp()) * 1000) if arrivals else 0,
        rate=round(sent / (last_at - first_at)) if last_at > first_at else sent,
    )
