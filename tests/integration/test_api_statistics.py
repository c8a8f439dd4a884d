"""GET /api/statistics/, /api/attempt/, and the progress and the reasons of a mailing, on a real database."""

import random
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.retrying import retry_batch
from services.planner.settings import PlannerSettings
from shared.contracts import utc_now
from tests.integration.ledger import add_clients, add_mailing, expand_all, query

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
_COUNT = """
    INSERT INTO progress (mailing_id, at, status, reason, messages)
    SELECT mailing_id, date_bin('10 s', settled_at, 'epoch'), status, reason, count(*) FROM messages
    WHERE settled_at IS NOT NULL GROUP BY 1, 2, 3, 4 RETURNING 1
"""


async def get(api: httpx.AsyncClient, path: str, **params: object) -> dict[str, object]:
    answer = await api.get(path, params={name: str(value) for name, value in params.items()})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body, dict)
    return body


async def settle(engine: AsyncEngine, ids: range, status: str, reason: str, at: datetime) -> None:
    """Give messages a final status, two of them a second, as recording does."""
    await query(
        engine,
        "UPDATE messages SET status = CAST(:status AS message_status), reason = CAST(:reason AS message_reason),"
        " settled_at = CAST(:at AS timestamptz) + (id - :first) * interval '500 ms', duration_ms = 20"
        " WHERE id BETWEEN :first AND :last RETURNING 1",
        status=status,
        reason=reason,
        at=at,
        first=ids[0],
        last=ids[-1],
    )


@pytest.fixture
async def mailing(api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings) -> int:
    """A mailing of 100 messages: 60 sent, 30 failed and 10 expired."""
    await add_clients(engine, 100)
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)
    await settle(engine, range(1, 61), "sent", "none", START)
    await settle(engine, range(61, 91), "failed", "answer", START + timedelta(hours=13))
    await settle(engine, range(91, 101), "expired", "end", START + timedelta(hours=14))
    await query(
        engine,
        "INSERT INTO attempts SELECT id, settled_at, 's', 'rejected', 400,"
        " CASE WHEN id < 70 THEN 'blocked' ELSE 'no' END, 20"
        " FROM messages WHERE status = 'failed' RETURNING 1",
    )
    await query(
        engine,
        "UPDATE counters SET sent = 60, failed = 30, expired = 10, new = 0 WHERE mailing_id = :id RETURNING 1",
        id=mailing_id,
    )
    await query(engine, "UPDATE mailings SET state = 'finished' WHERE id = :id RETURNING 1", id=mailing_id)
    await query(engine, _COUNT)
    return mailing_id


async def test_messages_are_counted_by_the_days_of_a_zone(api: httpx.AsyncClient, mailing: int) -> None:
    time = {"from": START, "until": START + timedelta(days=2), "zone": "Europe/Moscow"}
    found = await get(api, "/api/statistics/", **time)
    none = {"sent": 0, "failed": 0, "expired": 0, "canceled": 0, "uncertain": 0}
    assert found["messages"] == none | {"sent": 60, "failed": 30, "expired": 10}
    assert found["single_messages"] == none
    assert found["periods"] == [
        none | {"sent": 60, "at": "2026-02-28T21:00:00Z"},
        none | {"failed": 30, "expired": 10, "at": "2026-03-01T21:00:00Z"},
    ]
    assert found["reasons"] == [
        {"status": "failed", "reason": "answer", "messages": 30},
        {"status": "expired", "reason": "end", "messages": 10},
    ]
    (of_mailing,) = found["mailings"] if isinstance(found["mailings"], list) else []
    assert of_mailing == none | {"mailing_id": mailing, "text": "hello", "sent": 60, "failed": 30, "expired": 10}
    assert found["totals"] == none | {
        "sent": 60, "failed": 30, "expired": 10, "new": 0, "active": 0, "total": 100, "mailings": 1
    }  # fmt: skip
    by_hour = await get(api, "/api/statistics/", **time, step="hour")
    assert isinstance(by_hour["periods"], list)
    assert len(by_hour["periods"]) == 3


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"from": START, "until": START}, "from"),
        ({"from": START, "until": START + timedelta(days=33), "step": "hour"}, "from"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"step": "week"}, "step"),
    ],
)
async def test_a_wrong_time_is_refused(api: httpx.AsyncClient, wrong: dict[str, object], field: str) -> None:
    answer = await api.get("/api/statistics/", params={name: str(value) for name, value in wrong.items()})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_mailing_shows_its_course_and_why_messages_were_not_sent(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings, mailing: int
) -> None:
    course = await get(api, f"/api/mailing/{mailing}/progress/")
    assert course["step"] == 900
    late = await get(api, f"/api/mailing/{mailing}/progress/", since=START + timedelta(hours=14))
    assert isinstance(late["points"], list)
    assert [point["expired"] for point in late["points"]] == [10]
    reasons = await get(api, f"/api/mailing/{mailing}/reasons/")
    failed = {"status": "failed", "reason": "answer", "messages": 30}
    assert reasons["items"] == [
        failed
        | {
            "answers": [
                {"provider_status": 400, "provider_text": "no", "messages": 21},
                {"provider_status": 400, "provider_text": "blocked", "messages": 9},
            ]
        },
        {"status": "expired", "reason": "end", "messages": 10, "answers": []},
    ]
    until = utc_now() + timedelta(hours=1)
    answer = await api.post(
        f"/api/mailing/{mailing}/retry/", json={"status": ["failed"], "expired_at": until.isoformat()}
    )
    assert answer.status_code == 200, answer.text
    assert await retry_batch(engine, mailing, chunk=10, batch=1000, now=utc_now()) == 30
    reasons = await get(api, f"/api/mailing/{mailing}/reasons/")
    assert reasons["items"] == [{"status": "expired", "reason": "end", "messages": 10, "answers": []}]


async def test_an_unknown_mailing_has_no_course(api: httpx.AsyncClient) -> None:
    for path in ("progress", "reasons"):
        assert (await api.get(f"/api/mailing/77/{path}/")).status_code == 404


async def test_pages_of_all_attempts_show_each_once_newest_first(
    api: httpx.AsyncClient, engine: AsyncEngine, mailing: int
) -> None:
    rows = await query(
        engine,
        "SELECT at, message_id FROM attempts UNION ALL SELECT settled_at, id FROM messages WHERE status = 'sent'",
    )
    expected = [message_id for _, message_id in sorted(rows, reverse=True)]
    shuffle = random.Random(7)
    for _ in range(5):
        seen: list[int] = []
        after: dict[str, object] = {}
        while True:
            page = await get(api, "/api/attempt/", limit=shuffle.randint(1, 60), **after)
            assert isinstance(page["items"], list)
            seen += [item["message_id"] for item in page["items"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert seen == expected


async def test_attempts_are_found_by_outcome_status_mailing_and_time(api: httpx.AsyncClient, mailing: int) -> None:
    async def count(**wanted: object) -> int:
        items = (await get(api, "/api/attempt/", limit=1000, **wanted))["items"]
        assert isinstance(items, list)
        return len(items)

    assert await count() == 90
    assert await count(outcome="accepted") == 60
    assert await count(outcome="rejected") == 30
    assert await count(provider_status=200) == 60
    assert await count(provider_status=400, mailing=mailing) == 30
    assert await count(mailing=mailing) == 90
    assert await count(sender="s") == 30
    assert await count(mailing=mailing + 1) == 0
    assert await count(sender="nobody") == 0
    assert await count(**{"from": START, "until": START + timedelta(seconds=15)}) == 30
    item = (await get(api, "/api/attempt/", limit=1))["items"]
    assert isinstance(item, list)
    assert item[0]["mailing_id"] == mailing
    assert item[0]["status"] == "failed"
    for wrong in ("1", "x-1", "999999999999999999-1", "1-99999999999999999999"):
        assert (await api.get("/api/attempt/", params={"after": wrong})).status_code == 422
