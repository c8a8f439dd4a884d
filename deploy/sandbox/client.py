"""Client of the control port, for the demo, the tests and the benchmarks."""

from typing import Self, TypedDict, Unpack

import httpx
from pydantic import TypeAdapter

from deploy.sandbox.behaviour import Mode
from deploy.sandbox.control import BehaviourInForce
from deploy.sandbox.ledger import Page, Received, Seconds, Totals

_TOTALS = TypeAdapter(Totals)
_PAGE = TypeAdapter(Page)
_RECEIVED = TypeAdapter(Received)
_SECONDS = TypeAdapter(Seconds)
_IN_FORCE = TypeAdapter(BehaviourInForce)


class Terms(TypedDict, total=False):
    """Fields of `Behaviour` besides its mode."""

    latency_ms: float
    latency_jitter_ms: float
    retry_after: int
    share: float
    seed: int
    for_seconds: float


class SandboxControl:
    """Client of the control port at `base_url`. Raises httpx's errors if the sandbox does not answer."""

    def __init__(self, base_url: str) -> None:
        # uvicorn closes a connection that is idle for 5 s. Ours ends before, so that no request meets the end.
        limits = httpx.Limits(keepalive_expiry=2)
        self._http = httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=30, limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def totals(self) -> Totals:
        return _TOTALS.validate_json(await self._get("/sandbox/totals"))

    async def seconds(self) -> Seconds:
        return _SECONDS.validate_json(await self._get("/sandbox/seconds"))

    async def message(self, message_id: int) -> Received | None:
        """Return what arrived with this id; None if nothing did."""
        response = await self._http.get(f"/sandbox/messages/{message_id}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return _RECEIVED.validate_json(response.raise_for_status().content)

    async def messages(self) -> list[Received]:
        """Return everything that arrived, by id."""
        return await self._all_pages("/sandbox/messages")

    async def duplicates(self) -> list[Received]:
        """Return what arrived more than once, by id."""
        return await self._all_pages("/sandbox/duplicates")

    async def forget(self) -> None:
        """Delete the records of what the provider received."""
        (await self._http.delete("/sandbox/received")).raise_for_status()

    async def behave(self, mode: Mode | str = Mode.OK, **terms: Unpack[Terms]) -> BehaviourInForce:
        """Put a behaviour in force; it applies when this returns. Without arguments, return to normal."""
        response = await self._http.put("/sandbox/behaviour", json={"mode": mode, **terms})
        return _IN_FORCE.validate_json(response.raise_for_status().content)

    async def behaviour(self) -> BehaviourInForce:
        """Return the behaviour in force."""
        return _IN_FORCE.validate_json(await self._get("/sandbox/behaviour"))

    async def _all_pages(self, path: str) -> list[Received]:
        items: list[Received] = []
        after: int | None = 0
        while after is not None:
            page = _PAGE.validate_json(await self._get(path, after=after))
            items += page.items
            after = page.next
        return items

    async def _get(self, path: str, **query: int) -> bytes:
        return (await self._http.get(path, params=query)).raise_for_status().content
