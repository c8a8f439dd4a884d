"""Contract of the console with the REST API: its picture of the answers fits the API's document."""

from typing import Any

import pytest
from pydantic import BaseModel

from services.api.application import create_application
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
    Progress,
    Reasons,
    RotatedSecret,
    Statistics,
    Stop,
    Webhook,
)

DOCUMENT: dict[str, Any] = create_application().openapi()
CALLS: list[tuple[str, str, type[BaseModel]]] = [
    ("get", "/api/mailing/", Page[Mailing]),
    ("post", "/api/mailing/", Mailing),
    ("post", "/api/mailing/preview/", Preview),
    ("patch", "/api/mailing/{mailing_id}/", Mailing),
    ("post", "/api/mailing/{mailing_id}/pause/", Mailing),
    ("post", "/api/mailing/{mailing_id}/resume/", Mailing),
    ("post", "/api/mailing/{mailing_id}/cancel/", Mailing),
    ("post", "/api/mailing/{mailing_id}/retry/", Mailing),
    ("get", "/api/mailing/{mailing_id}/messages/", Page[Message]),
    ("get", "/api/mailing/{mailing_id}/reasons/", Reasons),
    ("get", "/api/mailing/{mailing_id}/progress/", Progress),
    ("get", "/api/statistics/", Statistics),
    ("get", "/api/attempt/", AttemptPage),
    ("get", "/api/alert/", Page[Alert]),
    ("get", "/api/webhook/", Page[Webhook]),
    ("post", "/api/webhook/", NewWebhook),
    ("get", "/api/webhook/{webhook_id}/", Webhook),
    ("patch", "/api/webhook/{webhook_id}/", Webhook),
    ("post", "/api/webhook/{webhook_id}/secret/", RotatedSecret),
    ("post", "/api/webhook/{webhook_id}/test/", AddedDelivery),
    ("get", "/api/webhook/{webhook_id}/deliveries/", Page[Delivery]),
    ("post", "/api/webhook/{webhook_id}/deliveries/{delivery_id}/again/", AddedDelivery),
    ("get", "/api/client/", Page[Client]),
    ("post", "/api/client/", Client),
    ("get", "/api/client/{client_id}/", Client),
    ("patch", "/api/client/{client_id}/", Client),
    ("post", "/api/client/import/", Imported),
    ("get", "/api/stop/", Page[Stop]),
    ("post", "/api/stop/", Stop),
    ("get", "/api/stop/{stop_id}/", Stop),
    ("post", "/api/stop/import/", Imported),
    ("get", "/api/message/", Page[HistoryItem]),
    ("post", "/api/message/", MessageDetail),
    ("get", "/api/message/{message_id}/", MessageDetail),
]
UNREAD = [
    ("delete", "/api/stop/{stop_id}/"),
    ("get", "/api/stop/export/"),
    ("delete", "/api/mailing/{mailing_id}/"),
    ("delete", "/api/client/{client_id}/"),
    ("delete", "/api/webhook/{webhook_id}/"),
    ("get", "/api/client/export/"),
    ("get", "/api/mailing/{mailing_id}/messages/export/"),
]


@pytest.mark.parametrize(("method", "path", "kind"), CALLS, ids=[f"{method} {path}" for method, path, _ in CALLS])
def test_the_console_understands_the_answer(method: str, path: str, kind: type[BaseModel]) -> None:
    answers = DOCUMENT["paths"][path][method]["responses"]
    success = next(answers[status] for status in ("200", "201") if status in answers)
    content = success["content"]["application/json"]
    examples = [content["example"]] if "example" in content else [e["value"] for e in content["examples"].values()]
    assert examples
    for example in examples:
        kind.model_validate(example)


@pytest.mark.parametrize(("method", "path"), UNREAD)
def test_the_api_has_the_other_operations_that_the_console_calls(method: str, path: str) -> None:
    assert method in DOCUMENT["paths"][path]


def test_the_parameters_of_the_lists_are_known_to_the_api() -> None:
    wanted = {
        "/api/mailing/": {"limit", "after"},
        "/api/mailing/{mailing_id}/messages/": {"status", "limit", "after"},
        "/api/client/": {"number", "tag", "code", "zone", "limit", "after"},
        "/api/message/": {"number", "client", "limit", "after"},
    }
    for path, names in wanted.items():
        known = {parameter["name"] for parameter in DOCUMENT["paths"][path]["get"]["parameters"]}
        assert names <= known, path
