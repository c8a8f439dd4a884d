"""Every adapter over every engine says the same of what the provider does, with and without TLS."""

import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.sender.adapter import Access, Adapter, Sms
from services.sender.http.endpoint import Endpoint
from services.sender.providers import load_adapter
from services.sender.verdict import Verdict
from shared.contracts import Outcome
from tests.integration.exchanging import Certificates, EngineName, Exchanger, certificates, opened
from tests.sandbox import Sandbox, running_sandbox

__all__ = ["certificates"]

EXAMPLES = Path(__file__).parents[2] / "docs" / "providers"
ADAPTERS = {"probe": None, "json": EXAMPLES / "json.toml", "form": EXAMPLES / "form.toml"}
NUMBER = 79057003050
TEXT = 'Привет, "мир" \\ \n 👋 {id} & = + %'


@dataclass(frozen=True, slots=True)
class Line:
    """A way to send messages to a sandbox."""

    name: str
    adapter: Adapter
    exchanger: Exchanger
    sandbox: Sandbox

    async def send(self, message_id: int = 4711, *, timeout: float = 5) -> Verdict:
        request = self.adapter.encode(Sms(message_id, NUMBER, TEXT))
        return self.adapter.judge(await self.exchanger.exchange(request, timeout), time.time())


@pytest.fixture(scope="session")
async def secure_sandbox(certificates: Certificates) -> AsyncIterator[Sandbox]:
    async with running_sandbox("--certificate", str(certificates.certificate_file)) as running:
        yield running


@pytest.fixture(params=itertools.product(ADAPTERS, ["asyncio", "httpx"], ["plain", "TLS"]), ids="-".join)
async def line(
    request: pytest.FixtureRequest, sandbox: Sandbox, secure_sandbox: Sandbox, certificates: Certificates
) -> AsyncIterator[Line]:
    name, engine, security = request.param
    used, tls = (secure_sandbox, certificates.client) if security == "TLS" else (sandbox, None)
    await used.reset()
    description = ADAPTERS[name]
    access = Access(Endpoint.parse(used.url), used.token, description)
    adapter = load_adapter("http" if description else "probe", access)
    engine_name: EngineName = engine
    async with opened(engine_name, used.url, tls=tls) as exchanger:
        yield Line(name, adapter, exchanger, used)


async def test_a_message_arrives_and_is_accepted(line: Line) -> None:
    verdict = await line.send()
    assert verdict.outcome is Outcome.ACCEPTED
    assert verdict.provider_text is None
    assert verdict.provider_message_id == {"probe": None, "json": "m-4711", "form": "4711"}[line.name]
    received = await line.sandbox.control.message(4711)
    assert received is not None
    assert (received.phone, received.count, received.accepted) == (NUMBER, 1, True)


@pytest.mark.parametrize(
    ("mode", "outcome", "is_outage"),
    [
        ("reject", Outcome.REJECTED, False),
        ("unauthorized", Outcome.DEFERRED, True),
        ("throttle", Outcome.DEFERRED, False),
        ("unavailable", Outcome.DEFERRED, True),
        ("error", Outcome.UNCERTAIN, False),
        ("garbage", Outcome.UNCERTAIN, False),
        ("half", Outcome.UNCERTAIN, False),
        ("reset", Outcome.UNCERTAIN, False),
        ("down", Outcome.DEFERRED, True),
    ],
)
async def test_every_way_to_fail_has_its_verdict(line: Line, mode: str, outcome: Outcome, is_outage: bool) -> None:
    await line.sandbox.control.behave(mode, retry_after=7)
    verdict = await line.send()
    assert verdict.outcome is outcome
    assert line.adapter.is_outage(verdict) is is_outage
    assert verdict.provider_text
    assert verdict.retry_after == (7 if mode in {"throttle", "unavailable"} else None)
    received = await line.sandbox.control.message(4711)
    assert (0 if received is None else received.count) == (0 if mode == "down" else 1)


async def test_a_provider_that_hangs_may_have_the_message(line: Line) -> None:
    await line.sandbox.control.behave("hang")
    verdict = await line.send(timeout=0.2)
    assert verdict.outcome is Outcome.UNCERTAIN
    assert not line.adapter.is_outage(verdict)


async def test_many_messages_arrive_once_each_whatever_happens(line: Line) -> None:
    """Half of them meet a connection that is cut after the request."""
    await line.sandbox.control.behave("reset", share=0.5, seed=3)
    outcomes = [(await line.send(message_id)).outcome for message_id in range(1, 41)]
    assert set(outcomes) == {Outcome.ACCEPTED, Outcome.UNCERTAIN}
    assert [item.count for item in await line.sandbox.control.messages()] == [1] * 40
