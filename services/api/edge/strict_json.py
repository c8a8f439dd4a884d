"""How the body of a request becomes JSON: by orjson, which is fast and takes nothing that is not JSON.

(The standard library takes NaN, lone surrogates, and integers and nesting without bound.)
"""

from collections.abc import Callable, Coroutine
from typing import cast

import orjson
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response


class _StrictRequest(Request):
    async def json(self) -> object:  # its errors are JSONDecodeErrors, as FastAPI expects
        return cast(object, orjson.loads(await self.body()))


class StrictJsonRoute(APIRoute):
    """A route whose body is parsed as said above."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly
