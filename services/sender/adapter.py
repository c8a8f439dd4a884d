"""Adapters: one for each API of a provider. A new one is a module in `services.sender.providers`."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import Reply, Request
from services.sender.verdict import Verdict


class Sms(NamedTuple):
    """One message, as a provider gets it."""

    id: int
    number: int
    text: str
    seconds_valid: int = 86_400  # how long the provider may try to deliver it
    traceparent: str | None = None  # a header of that name lets the provider continue the trace


class Adapter(Protocol):
    """The API of one provider."""

    def encode(self, sms: Sms) -> Request:
        """Return the request that sends the message."""
        ...

    def judge(self, reply: Reply, now: float) -> Verdict:
        """Return the verdict on a reply that came at `now`, in seconds since the epoch. Must not raise."""
        ...

    def is_outage(self, verdict: Verdict) -> bool:
        """Return True if the verdict speaks against the provider as a whole, not against one message."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """Where a provider is, and what it has given us."""

    endpoint: Endpoint
    token: str
    description: Path | None = None  # the file that the adapter `http` reads


class AdapterError(Exception):
    """Raised for an adapter that is unknown, or a description that is wrong. The text is for the operator."""
