"""Calls to the REST API over HTTP, on behalf of one person."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from services.console.rest.access_answers import AuditEntry, Link, NewToken, ProgramToken, User
from services.console.rest.answers import (
    AddedDelivery,
    Alert,
    AttemptPage,
    Client,
    Delivery,
    HistoryItem,
    Imported,
    Mailing,
    Message,
    MessageDetail,
    NewWebhook,
    Page,
    Preview,
    Problem,
    Progress,
    Reasons,
    RotatedSecret,
    Session,
    Statistics,
    Stop,
    Webhook,
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
    address: str | None = None  # of the person, which the API audits

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

    async def reasons(self, mailing_id: int) -> Reasons:
        """Return why messages of a mailing were not sent."""
        return await self._get(f"/api/mailing/{mailing_id}/reasons/", Reasons)

    async def progress(self, mailing_id: int) -> Progress:
        """Return the course of a mailing."""
        return await self._get(f"/api/mailing/{mailing_id}/progress/", Progress)

    async def statistics(self, query: Query) -> Statistics:
        """Return numbers of messages over all mailings."""
        return await self._get("/api/statistics/", Statistics, query)

    async def attempts(self, query: Query) -> AttemptPage:
        """Return attempts across mailings, newest first."""
        return await self._get("/api/attempt/", AttemptPage, query)

    async def open_alerts(self) -> Page[Alert]:
        """Return the alerts that have not ended, newest first."""
        return await self._get("/api/alert/", Page[Alert], {"open": "true", "limit": 20})

    async def webhooks(self) -> Page[Webhook]:
        """Return the webhooks, by id."""
        return await self._get("/api/webhook/", Page[Webhook], {"limit": 200})

    async def webhook(self, webhook_id: int) -> Webhook:
        """Return a webhook."""
        return await self._get(f"/api/webhook/{webhook_id}/", Webhook)

    async def create_webhook(self, body: Json) -> NewWebhook:
        """Create a webhook."""
        return await self._send("POST", "/api/webhook/", NewWebhook, body)

    async def change_webhook(self, webhook_id: int, body: Json) -> Webhook:
        """Change the given fields of a webhook."""
        return await self._send("PATCH", f"/api/webhook/{webhook_id}/", Webhook, body)

    async def rotate_webhook(self, webhook_id: int) -> RotatedSecret:
        """Give a webhook a new secret."""
        return await self._send("POST", f"/api/webhook/{webhook_id}/secret/", RotatedSecret, None)

    async def test_webhook(self, webhook_id: int) -> AddedDelivery:
        """Send a test to a webhook."""
        return await self._send("POST", f"/api/webhook/{webhook_id}/test/", AddedDelivery, None)

    async def deliveries(self, webhook_id: int, *, limit: int, after: str | None = None) -> Page[Delivery]:
        """Return the events of a webhook, newest first."""
        query = {"limit": limit, "after": after}
        return await self._get(f"/api/webhook/{webhook_id}/deliveries/", Page[Delivery], query)

    async def send_delivery_again(self, webhook_id: int, delivery_id: int) -> AddedDelivery:
        """Send an event once more."""
        path = f"/api/webhook/{webhook_id}/deliveries/{delivery_id}/again/"
        return await self._send("POST", path, AddedDelivery, None)

    async def delete_webhook(self, webhook_id: int) -> None:
        """Delete a webhook with its events."""
        await self._answer("DELETE", f"/api/webhook/{webhook_id}/")

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
        return await self._import("/api/client/import/", rows)

    async def stops(self, query: Query) -> Page[Stop]:
        """Return numbers of the stop list, newest first."""
        return await self._get("/api/stop/", Page[Stop], query)

    async def stop(self, stop_id: int) -> Stop:
        """Return an entry of the stop list."""
        return await self._get(f"/api/stop/{stop_id}/", Stop)

    async def add_stop(self, body: Json) -> Stop:
        """Put a number on the stop list."""
        return await self._send("POST", "/api/stop/", Stop, body)

    async def remove_stop(self, stop_id: int) -> None:
        """Take a number off the stop list."""
        await self._answer("DELETE", f"/api/stop/{stop_id}/")

    async def import_stops(self, rows: AsyncIterator[bytes]) -> Imported:
        """Import numbers into the stop list from CSV, passed on as it arrives."""
        return await self._import("/api/stop/import/", rows)

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

    async def sign_in_by_id_token(self, id_token: str, nonce: str) -> Session:
        """Return a new session for an ID token of the identity provider."""
        return await self._send("POST", "/api/session/oidc/", Session, {"id_token": id_token, "nonce": nonce})

    async def sign_out_everywhere(self) -> None:
        """End all sessions of the person."""
        await self._answer("DELETE", "/api/session/all/")

    async def users(self, *, limit: int, after: int | None = None) -> Page[User]:
        """Return the people who may sign in, by id."""
        return await self._get("/api/user/", Page[User], {"limit": limit, "after": after})

    async def user(self, user_id: int) -> User:
        """Return one of them: the API has a list only."""
        page = await self.users(limit=1, after=user_id - 1 or None)
        if not page.items or page.items[0].id != user_id:
            raise NotFound(404, Problem(detail=f"There is no user {user_id}."))
        return page.items[0]

    async def create_user(self, body: Json) -> User:
        """Create a user."""
        return await self._send("POST", "/api/user/", User, body)

    async def change_user(self, user_id: int, body: Json) -> User:
        """Change the given fields of a user."""
        return await self._send("PATCH", f"/api/user/{user_id}/", User, body)

    async def create_link(self, user_id: int) -> Link:
        """Return a new one-time link for a user."""
        return await self._send("POST", f"/api/user/{user_id}/link/", Link, None)

    async def tokens(self, *, limit: int, after: int | None = None) -> Page[ProgramToken]:
        """Return the tokens of programs, by id."""
        return await self._get("/api/token/", Page[ProgramToken], {"limit": limit, "after": after})

    async def create_token(self, body: Json) -> NewToken:
        """Create a token for a program; the answer shows it once."""
        return await self._send("POST", "/api/token/", NewToken, body)

    async def revoke_token(self, token_id: int) -> None:
        """Revoke a token of a program."""
        await self._answer("DELETE", f"/api/token/{token_id}/")

    async def audit(self, query: Query) -> Page[AuditEntry]:
        """Return what was done and refused, newest first."""
        return await self._get("/api/audit/", Page[AuditEntry], query)

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

    async def _import(self, path: str, rows: AsyncIterator[bytes]) -> Imported:
        headers = {"Content-Type": "text/csv"}
        answer = await self._answer("POST", path, content=rows, headers=headers, timeout=UPLOAD_TIMEOUT)
        return Imported.model_validate_json(answer.content)

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
        if self.address:
            headers["X-Forwarded-For"] = self.address
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
