"""The examples of the OpenAPI document, sent to the API."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx
import pytest

from services.api.application import EXAMPLES
from tests.integration.api_client import NOWHERE, api_on

CSV = {"Content-Type": "text/csv"}


@pytest.fixture(autouse=True)
def _before_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("single_messages.commands", "mailings.commands", "mailings.previews"):
        monkeypatch.setattr(f"services.api.{module}.utc_now", lambda: datetime(2030, 1, 30, tzinfo=UTC))


async def send(api: httpx.AsyncClient, operation: str, body: object = None) -> httpx.Response:
    method, path = operation.split()
    path = re.sub(r"{\w+}", "1", path)
    if isinstance(body, str):
        return await api.request(method, path, content=body.encode(), headers=CSV)
    return await api.request(method, path, json=body)


@pytest.mark.parametrize("operation", [name for name, shown in EXAMPLES.items() if shown.bodies])
async def test_every_example_of_a_body_is_accepted(operation: str) -> None:
    provider = {"oidc_issuer": f"http://{NOWHERE}", "oidc_client_id": "console"}
    url = f"postgresql://nobody@{NOWHERE}/nothing"
    async with api_on(url, f"amqp://{NOWHERE}/", access="open", changes=provider) as api:
        for body in EXAMPLES[operation].bodies.values():
            answer = await send(api, operation, body)
            # The body is valid, but there is no database; and nobody is signed in.
            expected = 409 if operation == "PATCH /api/me/" else 503
            assert answer.status_code == expected, answer.text


async def test_every_example_of_an_answer_is_what_the_api_answers(api: httpx.AsyncClient) -> None:
    for operation in (
        "POST /api/client/import/",
        "GET /api/client/",
        "GET /api/client/{client_id}/",
        "GET /api/client/export/",
        "PUT /api/client/{client_id}/",
        "POST /api/mailing/preview/",
        "POST /api/mailing/",
        "PATCH /api/mailing/{mailing_id}/",
    ):
        shown = EXAMPLES[operation]
        answer = await send(api, operation, next(iter(shown.bodies.values()), None))
        assert answer.is_success, answer.text
        if isinstance(shown.answer, str):
            assert answer.text == shown.answer
        else:
            assert isinstance(shown.answer, dict)
            assert without_instant(answer.json()) == without_instant(shown.answer)


def without_instant(answer: Mapping[str, object]) -> dict[str, object]:
    """Return the fields that are the same each time."""
    return {name: value for name, value in answer.items() if name != "created_at"}
