"""Reckoning of the demo: the database's messages compared with what the provider received. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

UNSETTLED = {"new", "active"}


@dataclass(frozen=True, slots=True)
class Message:
    """Row of the table `messages`."""

    id: int
    client_id: int
    status: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """Requests that the provider received with one message id; instants in seconds since the Unix epoch."""

    count: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Numbers of the demo's last line."""

    clients: int
    matched: int
    sent: int
    failed: int
    lost: int
    duplicated: int
    unknown: int  # ids that the provider received and the database does not have
    start_delay_ms: int
    rate: int  # messages per second

    def line(self) -> str:
        """Return the last line of the demo."""
        return (
            f"demo: clients={self.clients} matched={self.matched} sent={self.sent} failed={self.failed} "
            f"lost={self.lost} duplicated={self.duplicated} "
            f"start_delay_ms={self.start_delay_ms} rate={self.rate}/s"
        )

    def problems(self, clients: int, audience: int) -> list[str]:
        """Return what is wrong, given the number of clients added and the number with the tag."""
        expected = {"clients": clients, "matched": audience, "sent": self.matched}
        expected |= dict.fromkeys(("failed", "lost", "duplicated", "unknown"), 0)
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
    """Compare both sides. `audience` has client ids, `arrivals` has message ids as keys."""
    sent_by_ledger = [message for message in messages if message.status == "sent"]
    sent = sum(message.id in arrivals for message in sent_by_ledger)
    settled_clients = {message.client_id for message in messages if message.status not in UNSETTLED}
    first_at = min((arrival.first_at for arrival in arrivals.values()), default=0.0)
    last_at = max((arrival.last_at for arrival in arrivals.values()), default=0.0)
    return Reckoning(
        clients=clients,
        matched=len(messages),
        sent=sent,
        failed=sum(message.status not in UNSETTLED | {"sent"} for message in messages),
        lost=len(sent_by_ledger) - sent + len(set(audience) - settled_clients),
        duplicated=sum(arrival.count > 1 for arrival in arrivals.values()),
        unknown=len(arrivals.keys() - {message.id for message in messages}),
        start_delay_ms=round((first_at - starts_at.timestamp()) * 1000) if arrivals else 0,
        rate=round(sent / (last_at - first_at)) if last_at > first_at else sent,
    )
