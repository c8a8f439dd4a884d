"""Calls to the REST API over HTTP, on behalf of one person."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from services.console.rest.answers import (
    Client,
    HistoryItem,
    Imported,
    Mailing,
    Message,
    MessageDetail,
    Page,
    Preview,
    Problem,
    Session,
)
from services.console.rest.errors import REFUSALS, ApiUnavailable, NotFound, Refused
from shared.statuses import MessageStatus

Json = Mapping[str, JsonValue]
Query = Mapping[str, str | int | None]
Answer = TypeVar("Answer", bound=BaseModel)

TIMEOUT = httpx.Timeout(10, connect=2)
UPLOAD_TIMEOUT = httpx.Timeout(660, connect=2)  # the API gives a file ten minutes
CONNECTIONS = httpx.Limits(max_connections=40, max_keepalive_connections=20, keepalive_expiry=30)


def open_http(api_url: str) -> httpx.AsyncClient:
    """Return the connection pool that all calls of this process share."""
    return httpx.AsyncClient(base_url=api_url, timeout=TIMEOUT, limits=CONNECTIONS, trust_env=False)


@dataclass(frozen=True, slots=True)
class Api:
    """The REST API for one person: every call carries the person's token, if there is one.

    Each call raises ApiUnavailable, or a subclass of Refused.
    """

    http: httpx.AsyncClient
    token: str | None = None
    request_id: str | None = None

    async def mailings(self, *, limit: int, after: int | None = None) -> Page[Mailing]:
        """Return mailings, newest first."""
        return await self._get("/api/mailing/", Page[Mailing], {"limit": limit, "after": after})

    async def mailing(self, mailing_id: int) -> Mailing:
        """Return a mailing without its messages: the list costs the API less than the detail."""
        page = await self.mailings(limit=1, after=mailing_id + 1)
        if not page.items or page.items[0].id != mailing_id:
            raise NotFound(404, Problem(detail=f"There is no mailing {mailing_id}."))
        return page.items[0]

    async def mailing_messages(
        self, mailing_id: int, *, status: MessageStatus | None, limit: int, after: int | None = None
    ) -> Page[Message]:
        """Return messages of a mailing, by client."""
        query = {"status": status, "limit": limit, "after": after}
        return await self._get(f"/api/mailing/{mailing_id}/messages/", Page[Message], query)

    async def preview(self, body: Json) -> Preview:
        """Return the audience and the forecast of a mailing that does not exist yet."""
        return await self._send("POST", "/api/mailing/preview/", Preview, body)

    async def create_mailing(self, body: Json, key: str) -> Mailing:
        """Create a mailing; a repetition with the same key creates nothing more."""
        return await self._send("POST", "/api/mailing/", Mailing, body, key)

    async def change_mailing(self, mailing_id: int, body: Json) -> Mailing:
        """Change the given fields of a mailing."""
        return await self._send("PATCH", f"/api/mailing/{mailing_id}/", Mailing, body)

    async def control_mailing(self, mailing_id: int, action: str, body: Json | None = None) -> Mailing:
        """Pause, resume, cancel or retry a mailing."""
        return await self._send("POST", f"/api/mailing/{mailing_id}/{action}/", Mailing, body)

    async def delete_mailing(self, mailing_id: int) -> None:
        """Delete a mailing with its messages."""
        await self._answer("DELETE", f"/api/mailing/{mailing_id}/")

    async def clients(self, query: Query) -> Page[Client]:
        """Return clients that match, by id."""
        return await self._get("/api/client/", Page[Client], query)

    async def client(self, client_id: int) -> Client:
        """Return a client."""
        return await self._get(f"/api/client/{client_id}/", Client)

    async def create_client(self, body: Json) -> Client:
        """Create a client."""
        return await self._send("POST", "/api/client/", Client, body)

    async def change_client(self, client_id: int, body: Json) -> Client:
        """Change the given fields of a client."""
        return await self._send("PATCH", f"/api/client/{client_id}/", Client, body)

    async def delete_client(self, client_id: int) -> None:
        """Delete a client; its waiting messages are canceled."""
        await self._answer("DELETE", f"/api/client/{client_id}/")

    async def import_clients(self, rows: AsyncIterator[bytes]) -> Imported:
        """Import clients from CSV, passed on as it arrives."""
        headers = {"Content-Type": "text/csv"}
        answer = await self._answer(
            "POST", "/api/client/import/", content=rows, headers=headers, timeout=UPLOAD_TIMEOUT
        )
        return Imported.model_validate_json(answer.content)

    async def history(self, *, limit: int, after: int | None = None, **person: str | int) -> Page[HistoryItem]:
        """Return everything that concerned a `client` or a `number`, newest first."""
        return await self._get("/api/message/", Page[HistoryItem], {**person, "limit": limit, "after": after})

    async def message(self, message_id: int) -> MessageDetail:
        """Return a message with its attempts."""
        return await self._get(f"/api/message/{message_id}/", MessageDetail)

    async def send_message(self, body: Json, key: str) -> MessageDetail:
        """Send a single message; a repetition with the same key sends nothing more."""
        return await self._send("POST", "/api/message/", MessageDetail, body, key)

    async def sign_in(self, login: str, password: str) -> Session:
        """Return a new session for a login and password."""
        return await self._send("POST", "/api/session/", Session, {"login": login, "password": password})

    async def sign_in_by_link(self, link: str) -> Session:
        """Return a new session for the token of a one-time link."""
        return await self._send("POST", "/api/session/link/", Session, {"link": link})

    async def sign_out(self) -> None:
        """End the session of the person."""
        await self._answer("DELETE", "/api/session/")

    async def readiness(self) -> Mapping[str, str]:
        """Return what the API needs and whether it is there. Raises ApiUnavailable."""
        answer = await self._answer("GET", "/readyz")
        return {str(name): str(state) for name, state in answer.json().items()}

    @asynccontextmanager
    async def download(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the pieces of an export as they arrive."""
        request = self.http.build_request("GET", path, headers=self._headers())
        try:
            answer = await self.http.send(request, stream=True)
        except httpx.TransportError as error:
            raise ApiUnavailable(str(error)) from error
        try:
            if answer.status_code >= 400:
                await answer.aread()
            _check(answer)
            yield answer.aiter_bytes()
        finally:
            await answer.aclose()

    async def _get(self, path: str, kind: type[Answer], query: Query | None = None) -> Answer:
        params = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        return _parsed(kind, await self._answer("GET", path, params=params))

    async def _send(
        self, method: str, path: str, kind: type[Answer], body: Json | None, key: str | None = None
    ) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        return _parsed(kind, await self._answer(method, path, json=body, headers=headers))

    async def _answer(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int | None] | None = None,
        json: Json | None = None,
        content: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout = TIMEOUT,
    ) -> httpx.Response:
        try:
            answer = await self.http.request(
                method,
                path,
                params=params,
                json=json,
                content=content,
                headers=self._headers() | dict(headers or {}),
                timeout=timeout,
            )
        except httpx.TransportError as error:
            raise ApiUnavailable(str(error) or type(error).__name__) from error
        return _check(answer)

    def _headers(self) -> dict[str, str]:
        headers = {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.request_id:
            headers["X-Request-ID"] = self.request_id
        return headers


def _check(answer: httpx.Response) -> httpx.Response:
    """Return the answer if it is a success. Raises ApiUnavailable or a subclass of Refused."""
    if answer.status_code < 400:
        return answer
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:  # of a proxy in between
        problem = Problem(detail=f"{answer.status_code} {answer.reason_phrase}")
    if answer.status_code >= 500:
        raise ApiUnavailable(problem.detail, problem.detail)
    raise REFUSALS.get(answer.status_code, Refused)(answer.status_code, problem)


def _parsed(kind: type[Answer], answer: httpx.Response) -> Answer:
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise ApiUnavailable(f"the answer is not understood: {error.error_count()} fields") from error
