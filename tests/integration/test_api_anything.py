"""Random requests: hypothesis looks for one that the API answers with a fault."""

from urllib.parse import quote

import httpx
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        [
            79057003050,
            "+7 (905) 700-30-50",
            "Europe/Moscow",
            "#x",
            "905",
            "09:00",
            "21:00",
            "2090-01-01T00:00:00Z",
            "2090-01-02 00:00",
            "9999-12-31T23:59:59.999999Z",
            "0001-01-01T00:00:00Z",
            "a\0",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["code", "tag", "zone", "x", "from", "until"]), inner, max_size=3)
    ),
    max_leaves=6,
)
fields = st.sampled_from(
    [
        *("number", "tag", "zone", "code", "id", "client", "starts_at", "expired_at", "text", "filter", "state"),
        *("window", "rate", "status"),
    ]
)
bodies = (
    st.dictionaries(fields, values, max_size=6).map(orjson.dumps)
    | values.map(orjson.dumps)
    | st.binary(max_size=40)
)
words = st.integers().map(str) | st.text(max_size=10) | st.sampled_from(["1", "0", "\0", "messages", "pause"])
paths = st.tuples(
    st.sampled_from(["client", "mailing", "message"]),
    words,
    st.sampled_from(["", "messages", "pause", "cancel", "retry"]),
).map(lambda parts: "/api/" + "/".join(quote(part, safe="") for part in parts if part))
names = st.sampled_from(["tag", "code", "zone", "number", "client", "limit", "after", "status"])
queries = st.dictionaries(names, words, max_size=3)
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
JSON = {"Content-Type": "application/json"}
often = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@often
@given(
    path=st.sampled_from(
        [
            *("/api/client", "/api/mailing", "/api/message", "/api/mailing/preview"),
            *("/api/client/1", "/api/mailing/1", "/api/mailing/1/retry"),
        ]
    ),
    body=bodies,
)
async def test_no_body_is_answered_with_a_fault(api: httpx.AsyncClient, path: str, body: bytes) -> None:
    method = "PATCH" if path.endswith("1") else "POST"
    answer = await api.request(method, path, content=body, headers=JSON)
    assert answer.status_code in (200, 201, 404, 409, 422), answer.text


@often
@given(method=methods, path=paths, query=queries)
async def test_no_path_or_parameter_is_answered_with_a_fault(
    api: httpx.AsyncClient, method: str, path: str, query: dict[str, str]
) -> None:
    answer = await api.request(method, path, params=query)
    assert answer.status_code in (200, 204, 404, 405, 409, 422), answer.text
