"""Tokens for tests and tools that call the API."""

from collections.abc import AsyncGenerator
from functools import partial
from http import HTTPStatus

import httpx
from pydantic import SecretStr

from shared.access.roles import Role
from shared.cli.database import in_transaction
from shared.cli.token import create


class TokenOnDemand(httpx.Auth):
    """Creates an admin's token in the database when the API asks for one, and sends it from then on."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._token: str | None = None

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request; send it again with a new token if the API does not accept the old one."""
        if self._token is not None:
            request.headers.update(bearer(self._token))
        response = yield request
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            self._token = await create_api_token(self._database_url)
            request.headers.update(bearer(self._token))
            yield request


async def create_api_token(database_url: str, role: Role = Role.ADMIN, name: str = "test") -> str:
    """Create a token in the database and return its secret."""
    created = await in_transaction(SecretStr(database_url), partial(create, name=name, role=role))
    return created.secret


def bearer(token: str) -> dict[str, str]:
    """Return the header that sends the token."""
    return {"Authorization": f"Bearer {token}"}
