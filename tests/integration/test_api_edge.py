"""The edge that every request passes: ids, limits, problems, documentation. Mostly without a database."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import LogCapture

from services.api.mailings import queries
from tests.integration.api_client import NOWHERE, api_on

ANNA = '{"number": 79057003050, "tag": "#x", "zone": "Europe/Moscow"}'
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    """Client of an API without database and broker, which wrong requests never reach."""
    async with api_on(f"postgresql://nobody@{NOWHERE}/nothing", f"amqp://{NOWHERE}/", access="open") as client:
        yield client


def is_problem(answer: httpx.Response, status: int) -> bool:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    return bool({"type", "title", "detail", "errors"} <= body.keys())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b'{"number": NaN}',
        b'{"number": Infinity}',
        b'{"tag": "\xff\xfe"}',
        b'{"tag": "\\ud800", "number": 79057003050, "zone": "Europe/Moscow"}',
        b'{"number": 1e999}',
        b'{"number": ' + b"9" * 6000 + b"}",
        b"[" * 30_000,
        b'{"tag":' * 7_000 + b"1" + b"}" * 7_000,
        b'{"filter":' * 1_000 + b"1" + b"}" * 1_000,
        b"\xef\xbb\xbf{}",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/api/client/"), ("PATCH", "/api/mailing/1/")])
async def test_a_body_that_is_no_json_object_is_refused(
    api: httpx.AsyncClient, method: str, path: str, body: bytes
) -> None:
    answer = await api.request(method, path, content=body, headers=JSON)
    assert is_problem(answer, 422)
    assert answer.json()["errors"]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/xml", None])
async def test_json_must_be_declared_so_that_no_web_page_can_post_it(
    api: httpx.AsyncClient, kind: str | None
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = await api.post("/api/client/", content=ANNA, headers=headers)
    assert is_problem(answer, 422)
    assert "Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/problem+json", "APPLICATION/JSON"]
)
async def test_any_way_to_declare_json_will_do(api: httpx.AsyncClient, kind: str) -> None:
    answer = await api.post("/api/client/", content=b"{}", headers={"Content-Type": kind})
    assert {error["field"] for error in answer.json()["errors"]} == {"number", "tag", "zone"}


async def test_only_the_first_of_a_thousand_errors_are_named(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/mailing/", json={"filter": {"code": [1000] * 900}})
    assert is_problem(answer, 422)
    assert 10 < len(answer.json()["errors"]) < 50


async def test_a_body_above_the_limit_is_refused_before_it_is_sent(api: httpx.AsyncClient) -> None:
    is_read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal is_read
        is_read = True
        yield b" " * 65537

    answer = await api.post("/api/client/", content=body(), headers={**JSON, "Content-Length": "65537"})
    assert is_problem(answer, 413)
    assert not is_read


async def test_a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_long(api: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1024

    answer = await api.post("/api/client/", content=endless(), headers=JSON)
    assert is_problem(answer, 413)
    assert sent == 65


async def test_a_body_at_the_limit_is_read(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/client/", content=b"{}".ljust(65536), headers=JSON)
    assert is_problem(answer, 422)


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/client/1/nothing/", "/%00", "/api/%FF"])
async def test_an_unknown_path_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    assert is_problem(await api.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/client/", "GET, POST"),
        ("DELETE", "/api/message/", "GET, POST"),
        ("POST", "/api/message/1/", "GET"),
        ("POST", "/api/client/1", "DELETE, GET, PATCH, PUT"),
        ("GET", "/api/mailing/1/pause", "POST"),
        ("PUT", "/api/client/import/", "POST"),
        ("DELETE", "/api/client/export", "GET"),
        ("PATCH", "/api/mailing/preview/", "POST"),
        ("POST", "/readyz", "GET"),
    ],
)
async def test_an_unknown_method_is_not_allowed_and_all_others_are_named(
    api: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await api.request(method, path)
    assert is_problem(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("given", ["1_0", "1.0", "+1", "-1", "%201", "true", "٣", "9" * 20, "9" * 5_000, "abc"])
async def test_an_id_is_written_in_digits(api: httpx.AsyncClient, given: str) -> None:
    for noun in ("client", "mailing", "message"):
        assert is_problem(await api.get(f"/api/{noun}/{given}/"), 404)
    if given != "%201":
        for query in ({"client": given}, {"client": "1", "after": given}, {"client": "1", "limit": given}):
            answer = await api.get("/api/message/", params=query)
            assert is_problem(answer, 422)
            assert answer.json()["errors"][0]["field"] in query


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("?tga=x", {"field": "tga", "message": "is not a known parameter"}),
        ("/?tag=%00", {"field": "tag", "message": "must not contain a NUL character"}),
        ("/?tag=x&tag=y", {"field": "tag", "message": "must be given once"}),
    ],
)
async def test_a_parameter_that_would_be_ignored_is_refused(
    api: httpx.AsyncClient, given: str, error: dict[str, str]
) -> None:
    answer = await api.get(f"/api/client{given}")
    assert is_problem(answer, 422)
    assert answer.json()["errors"] == [error]


async def test_an_id_that_no_table_can_hold_is_refused(api: httpx.AsyncClient) -> None:
    for given in ("0", "9" * 19):
        assert is_problem(await api.get(f"/api/client/{given}/"), 422)


@pytest.mark.parametrize("given", [True, 1.0, "1", "2", 0, -1, [1], {}])
async def test_a_client_in_a_body_is_a_whole_number(api: httpx.AsyncClient, given: object) -> None:
    answer = await api.post("/api/message/", json={"client": given, "text": "x"})
    assert is_problem(answer, 422)
    assert answer.json()["errors"][0]["field"].startswith("client")


@pytest.mark.parametrize("given", [True, "5", [5], 0, 0.05, 100_001])
async def test_a_rate_is_a_number(api: httpx.AsyncClient, given: object) -> None:
    answer = await api.patch("/api/mailing/1/", json={"rate": given})
    assert is_problem(answer, 422)
    assert [error["field"] for error in answer.json()["errors"]] == ["rate"]


async def test_every_answer_limits_what_a_browser_does_with_it(api: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/docs/", "/docs/assets/swagger-ui.css", "/openapi.json", "/nothing", "/metrics"):
        answer = await api.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_a_request_under_the_name_of_another_site_is_refused(api: httpx.AsyncClient) -> None:
    for path in ("/docs/", "/healthz", "/metrics", "/openapi.json"):
        assert is_problem(await api.get(path, headers={"Host": "evil.example:8000"}), 421)
        assert (await api.get(path, headers={"Host": "127.0.0.1:8000"})).status_code == 200


async def test_a_path_comes_into_the_log_without_control_characters(
    api: httpx.AsyncClient, lines: LogCapture
) -> None:
    await api.get("/api/%1b[2J%0aclient")
    [line] = [entry for entry in lines.entries if entry["event"] == "request_answered"]
    assert line["path"] == "/api/·[2J·client/"


async def test_the_front_page_leads_to_the_documentation(api: httpx.AsyncClient) -> None:
    answer = await api.get("/", follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/docs/")


async def test_swagger_ui_runs_its_own_scripts_only(api: httpx.AsyncClient) -> None:
    page = await api.get("/docs/")
    policy = dict(part.split(maxsplit=1) for part in page.headers["content-security-policy"].split("; "))
    inline = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert inline
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline]
    assert policy["script-src"].split() == ["'self'", *(f"'sha256-{one}'" for one in hashes)]


async def test_the_id_of_a_request_is_the_callers_if_it_is_valid(api: httpx.AsyncClient) -> None:
    for given in ("trace-1:a.b_C", "a" * 64):
        assert (await api.get("/healthz", headers={"X-Request-ID": given})).headers["x-request-id"] == given
    made = set()
    for bad in (b"", b"a b", b"a" * 65, "ü".encode(), b"\xff", b"<script>", b"a,b"):
        answer = await api.get("/healthz", headers={b"X-Request-ID": bad})
        made.add(answer.headers["x-request-id"])
    assert len(made) == 7
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in made)


async def test_each_request_leaves_one_line_with_the_ids_in_its_path(
    api: httpx.AsyncClient, lines: LogCapture
) -> None:
    await api.get("/api/mailing/17/messages?status=lost&number=79057003050", headers={"X-Request-ID": "abc"})
    [line] = [entry for entry in lines.entries if entry["event"] == "request_answered"]
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request_answered",
        "log_level": "info",
        "request_id": "abc",
        "method": "GET",
        "path": "/api/mailing/17/messages/",
        "status": 422,
        "mailing_id": 17,
        "actor": "anybody",
    }


async def test_an_unexpected_error_is_a_problem_with_an_id_and_a_traceback_in_the_log(
    api: httpx.AsyncClient, lines: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("the secret")

    monkeypatch.setattr("services.api.mailings.queries.find", broken)
    monkeypatch.setattr("services.api.edge.transactions.autocommitted", _no_connection)
    answer = await api.get("/api/mailing/5/")
    assert queries.find is broken  # type: ignore[comparison-overlap]
    assert is_problem(answer, 500)
    assert "secret" not in answer.text
    assert "ZeroDivisionError" not in answer.text
    [line] = [entry for entry in lines.entries if entry["event"] == "request_failed"]
    assert line["exc_info"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert [entry["status"] for entry in lines.entries if entry["event"] == "request_answered"] == [500]


async def test_swagger_ui_needs_no_other_host(api: httpx.AsyncClient) -> None:
    for path in ("/docs", "/docs/"):
        page = await api.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        links = re.findall(r'(?:src|href|url)["=:\s]+[\'"]([^\'"]+)', page.text)
        assert "/openapi.json" in links
        assert len(links) >= 4
        for link in links:
            assert link.startswith("/")
            assert (await api.get(link)).status_code == 200, link
    assert "SwaggerUIBundle" in (await api.get("/docs/assets/swagger-ui-bundle.js")).text
    assert (await api.get("/docs/assets/..%2f__init__.py")).status_code == 404


async def test_openapi_describes_every_route_with_its_errors(api: httpx.AsyncClient) -> None:
    schema = (await api.get("/openapi.json")).json()
    assert {path for path in schema["paths"] if not path.endswith("/")} == {"/healthz", "/readyz"}
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            assert route["summary"], (method, path)
            assert route["tags"], (method, path)
            assert "408" in route["responses"]
            if path.startswith("/api/"):
                assert {"422", "503"} <= route["responses"].keys()
                # Its client may be unknown, though nothing in its path is.
                assert ("404" in route["responses"]) == ("{" in path or path == "/api/message/")
                assert ("413" in route["responses"]) == ("requestBody" in route)
            for status, described in route["responses"].items():
                if int(status) >= 400:
                    content = described["content"]["application/problem+json"]
                    assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert ("Retry-After" in described.get("headers", {})) == (status == "503")
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/(\w+)"', (await api.get("/openapi.json")).text))
    assert references <= schema["components"]["schemas"].keys()


class _no_connection:  # noqa: N801 - stands in for a function
    """Stand in for `autocommitted` with a connection that nobody uses."""

    def __init__(self, engine: object) -> None: ...

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


async def test_requests_are_counted_by_documented_path_and_probes_are_not(api: httpx.AsyncClient) -> None:
    before = await counted(api)
    for method, path in (
        ("GET", "/api/client/5/7/"),
        ("PUT", "/api/client"),
        ("GET", "/api/client/0"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("MAKE-UP", "/api/client/"),
    ):
        await api.request(method, path)
    after = await counted(api)
    assert {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)} == {
        ("GET", "other", "4xx"): 1,
        ("PUT", "/api/client/", "4xx"): 1,
        ("GET", "/api/client/{client_id}/", "4xx"): 1,
        ("other", "/api/client/", "4xx"): 1,
    }


async def counted(api: httpx.AsyncClient) -> dict[tuple[str, str, str], float]:
    """Return the number of requests by method, route and class of status."""
    families = text_string_to_metric_families((await api.get("/metrics")).text)
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in families
        for sample in family.samples
        if sample.name == "mailing_api_request_duration_seconds_count"
    }


async def test_metrics_are_in_no_description(api: httpx.AsyncClient) -> None:
    assert (await api.get("/metrics")).status_code == 200
    assert "/metrics" not in (await api.get("/openapi.json")).text
