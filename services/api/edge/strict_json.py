"""Strict JSON: request bodies are parsed by orjson, which is fast and accepts only valid JSON.

The standard library also accepts NaN, lone surrogates, and integers and nesting of any size.
"""

from collections.abc import Callable, Coroutine
from typing import cast

import orjson
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response


class _StrictRequest(Request):
    async def json(self) -> object:
        """Return the parsed body. Raises JSONDecodeError, as FastAPI expects."""
        return cast(object, orjson.loads(await self.body()))


class StrictJsonRoute(APIRoute):
    """Route with a strictly parsed body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        """Return FastAPI's handler, called with a request that parses strictly."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly
