"""Filters of mailings: what they select, in a preview and in an expansion, on a real database."""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.mailings.filters import FilterIn
from services.planner.settings import PlannerSettings
from shared.access.roles import Role
from shared.ledger.audience import conditions
from shared.statuses import MessageStatus
from tests.integration.ledger import expand_all, query
from tests.tokens import bearer, create_api_token

FILTER: TypeAdapter[Any] = TypeAdapter(FilterIn)
Given = Mapping[str, Any]

DAY = datetime(2030, 1, 1, tzinfo=UTC)
CODES, TAGS, ZONES = (905, 906, 907), ("a", "b", "c'"), ("Europe/Moscow", "Asia/Omsk")
VALUES = ("Moscow", 'O"msk', "1", 1, True, False, 1.5)
STATUSES = tuple(status.value for status in MessageStatus if status is not MessageStatus.ACTIVE)
MAILINGS = (1, 2, 3)


class Client(NamedTuple):
    """A client as Python judges it. `messages` are the statuses by mailing."""

    id: int
    number: int
    tag: str
    zone: str
    attributes: dict[str, object]
    created_at: datetime
    messages: dict[int, str]


def some_clients() -> list[Client]:
    chance = random.Random(17)
    return [
        Client(
            id=id_,
            number=70_000_000_000 + chance.choice(CODES) * 10_000_000 + id_,
            tag=chance.choice(TAGS),
            zone=chance.choice(ZONES),
            attributes={name: chance.choice(VALUES) for name in ("city", "n") if chance.random() < 0.6},
            created_at=DAY + timedelta(days=chance.randrange(5)),
            messages={mailing: chance.choice(STATUSES) for mailing in MAILINGS if chance.random() < 0.5},
        )
        for id_ in range(1, 81)
    ]


CLIENTS = some_clients()


@pytest.fixture
def connection(database_url: str, clean_database: None) -> Iterator[Connection]:
    """Connection to a database with the clients and their messages."""
    engine = create_engine(database_url)
    with engine.connect() as opened:
        opened.execute(
            text(
                "INSERT INTO clients (id, number, tag, zone, attributes, created_at) OVERRIDING SYSTEM VALUE"
                " VALUES (:id, :number, :tag, :zone, CAST(:attributes AS jsonb), :created_at)"
            ),
            [
                {**client._asdict(), "attributes": orjson.dumps(client.attributes).decode(), "messages": None}
                for client in CLIENTS
            ],
        )
        opened.execute(
            text(
                "INSERT INTO messages (mailing_id, client_id, job_id, status)"
                " VALUES (:mailing, :client, 1, CAST(:status AS message_status))"
            ),
            [
                {"mailing": mailing, "client": client.id, "status": status}
                for client in CLIENTS
                for mailing, status in client.messages.items()
            ],
        )
        opened.commit()
        yield opened
    engine.dispose()


def some_of(values: tuple[Any, ...]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3)


instants = st.integers(-1, 6).map(lambda days: (DAY + timedelta(days=days)).isoformat())
parts_of_mailings = st.lists(
    st.sampled_from(MAILINGS)
    | st.fixed_dictionaries({"id": st.sampled_from(MAILINGS)}, optional={"status": some_of(STATUSES)}),
    min_size=1,
    max_size=2,
)
leaves = st.fixed_dictionaries(
    {},
    optional={
        "code": some_of(CODES),
        "tag": some_of(TAGS),
        "zone": some_of(ZONES),
        "number": some_of(tuple(client.number for client in CLIENTS[:5])),
        "attributes": st.dictionaries(st.sampled_from(["city", "n"]), some_of(VALUES), min_size=1),
        "created_after": instants,
        "created_before": instants,
        "in_mailing": parts_of_mailings,
        "not_in_mailing": parts_of_mailings,
    },
).filter(bool)
filters = st.recursive(
    leaves,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "all": st.lists(inner, min_size=1, max_size=3),
            "any": st.lists(inner, min_size=1, max_size=3),
            "not": inner,
        },
    ).filter(bool),
    max_leaves=6,
)


def matches(wanted: Given, client: Client) -> bool:
    """Return True if the client matches the filter as the caller wrote it."""
    return all(_matches_field(field, value, client) for field, value in wanted.items())


def _matches_field(field: str, value: Any, client: Client) -> bool:
    match field:
        case "code":
            return client.number // 10_000_000 % 1000 in value
        case "tag" | "zone" | "number":
            return getattr(client, field) in value
        case "attributes":
            has = {name: orjson.dumps(one) for name, one in client.attributes.items()}
            return all(has.get(name, b"") in map(orjson.dumps, values) for name, values in value.items())
        case "created_after":
            return client.created_at >= datetime.fromisoformat(value)
        case "created_before":
            return client.created_at < datetime.fromisoformat(value)
        case "in_mailing":
            return any(_has_message(part, STATUSES, client) for part in value)
        case "not_in_mailing":
            return not any(_has_message(part, ("sent",), client) for part in value)
        case "all":
            return all(matches(part, client) for part in value)
        case "any":
            return any(matches(part, client) for part in value)
        case _:
            return not matches(value, client)


def _has_message(part: Any, otherwise: tuple[str, ...], client: Client) -> bool:
    part = part if isinstance(part, dict) else {"id": part}
    return client.messages.get(part["id"]) in part.get("status", otherwise)


def selected(connection: Connection, wanted: Given, after: int, until: int) -> list[int]:
    """Return the ids of a batch, as the expansion selects them."""
    found = conditions(FILTER.validate_python(wanted).normalised(), bounded=True)
    statement = text(
        f"SELECT id FROM clients WHERE id > :after AND id <= :until AND {' AND '.join(found.sql)} ORDER BY id"
    )
    return list(connection.execute(statement, {"after": after, "until": until, **found.parameters}).scalars())


def test_sql_selects_the_clients_that_python_selects(connection: Connection) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(wanted=filters, after=st.sampled_from([0, 30]))
    def check(wanted: Given, after: int) -> None:
        expected = [client.id for client in CLIENTS if after < client.id <= 70 and matches(wanted, client)]
        assert selected(connection, wanted, after, 70) == expected

    check()


def test_equal_filters_are_equal_values() -> None:
    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(wanted=filters)
    def check(wanted: Given) -> None:
        stored = FILTER.validate_python(wanted).normalised()
        assert FILTER.validate_python(orjson.loads(orjson.dumps(stored))).normalised() == stored

    check()


def mailing(filter_: object, **fields: object) -> dict[str, object]:
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return {"starts_at": "2020-01-01T00:00:00Z", "expired_at": end, "text": "hello", "filter": filter_, **fields}


async def create(api: httpx.AsyncClient, filter_: object) -> int:
    created = await api.post("/api/mailing/", json=mailing(filter_))
    assert created.status_code == 201, created.text
    return int(created.json()["id"])


async def test_those_whom_a_mailing_did_not_reach_get_another_one_and_nobody_gets_both(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    for n in range(6):
        body = {"number": 79_050_000_000 + n, "tag": "#all", "zone": "Europe/Moscow"}
        assert (await api.post("/api/client/", json=body)).status_code == 201
    first = await create(api, "#all")
    await expand_all(engine, first, settings)
    statuses = ["sent", "failed", "expired", "uncertain", "sent", "canceled"]
    for client_id, status in enumerate(statuses, 1):
        change = "UPDATE messages SET status = CAST(:status AS message_status) WHERE client_id = :id RETURNING 1"
        await query(engine, change, status=status, id=client_id)
    for wanted, expected in (
        ({"in_mailing": [{"id": first, "status": ["failed", "expired"]}]}, [2, 3]),
        ({"tag": "#all", "not_in_mailing": [first]}, [2, 3, 4, 6]),
        ({"tag": "#all", "not_in_mailing": {"id": first, "status": ["sent", "uncertain"]}}, [2, 3, 6]),
        ({"tag": "#all", "not": {"in_mailing": first}}, []),
        ({"any": [{"number": "79050000000"}, {"in_mailing": {"id": first, "status": "failed"}}]}, [1, 2]),
    ):
        preview = await api.post("/api/mailing/preview/", json=mailing(wanted))
        assert preview.status_code == 200, preview.text
        assert preview.json()["recipients"] == len(expected)
        assert [client["id"] for client in preview.json()["sample"]] == expected[:5]
        another = await create(api, wanted)
        await expand_all(engine, another, settings)
        got = await query(engine, "SELECT client_id FROM messages WHERE mailing_id = :id ORDER BY 1", id=another)
        assert [client_id for (client_id,) in got] == expected, wanted


async def test_a_filter_names_only_mailings_that_exist_and_keeps_them(api: httpx.AsyncClient) -> None:
    wrong = mailing({"any": [{"tag": "#x"}, {"not_in_mailing": [77]}]})
    for path in ("/api/mailing/", "/api/mailing/preview/"):
        refused = await api.post(path, json=wrong)
        assert refused.status_code == 422
        assert refused.json()["errors"] == [
            {"field": "filter", "message": "names mailing 77, which does not exist"}
        ]
    kept = await create(api, "#x")
    later = mailing(
        {"not": {"in_mailing": [kept]}, "tag": "#x"}, starts_at=f"{datetime.now(UTC) + timedelta(hours=1)}"
    )
    other = (await api.post("/api/mailing/", json=later)).json()["id"]
    refused = await api.delete(f"/api/mailing/{kept}/")
    assert refused.status_code == 409
    assert f"mailing {other}" in refused.json()["detail"]
    changed = await api.patch(f"/api/mailing/{other}/", json={"filter": {"not_in_mailing": [78]}})
    assert changed.status_code == 422
    assert (await api.patch(f"/api/mailing/{other}/", json={"filter": "#x"})).status_code == 200
    assert (await api.delete(f"/api/mailing/{kept}/")).status_code == 204


async def test_numbers_in_a_filter_are_masked_and_a_viewer_cannot_try_them(
    api: httpx.AsyncClient, database_url: str
) -> None:
    viewer = bearer(await create_api_token(database_url, Role.VIEWER))
    wanted = {"any": [{"number": ["+7 905 700-30-50"]}, {"tag": "#x"}]}
    id_ = await create(api, wanted)
    shown = (await api.get(f"/api/mailing/{id_}/")).json()["filter"]
    assert shown == {"any": [{"number": [79057003050]}, {"tag": ["#x"]}]}
    masked = (await api.get(f"/api/mailing/{id_}/", headers=viewer)).json()["filter"]
    assert masked == {"any": [{"number": ["7905*****50"]}, {"tag": ["#x"]}]}
    assert "79057003050" not in (await api.get("/api/audit/")).text
    refused = await api.post("/api/mailing/preview/", json=mailing(wanted), headers=viewer)
    assert refused.status_code == 403
