"""Import and export of CSV by the running application."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import ClientDisconnect
from structlog.testing import LogCapture

from services.api.clients.imports import BATCH
from services.planner.settings import PlannerSettings
from tests.integration.api_client import eventually, waits_for_a_lock
from tests.integration.ledger import add_clients, add_mailing, expand_all, query

MOSCOW = "Europe/Moscow"
CSV = {"Content-Type": "text/csv; charset=utf-8"}


def file_of(*rows: tuple[object, str, str]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("number", "tag", "zone"), *rows])
    return file.getvalue().encode()


async def upload(api: httpx.AsyncClient, content: bytes) -> dict[str, object]:
    answer = await api.post("/api/client/import/", content=content, headers=CSV)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_new_clients_are_added_others_changed_or_left_and_wrong_rows_reported(
    api: httpx.AsyncClient,
) -> None:
    first = await upload(api, file_of((79050000001, "#a", MOSCOW), (79050000002, "#a", MOSCOW)))
    assert first == {
        **{"rows": 2, "added": 2, "changed": 0, "unchanged": 0, "repeated": 0, "rejected": 0},
        "rejections": [],
    }
    second = await upload(
        api,
        file_of(
            (79050000001, "#a", MOSCOW),
            (79050000002, "#b", MOSCOW),
            (79050000003, "#first", MOSCOW),
            ("nobody", "#a", MOSCOW),
            (79050000003, "#last \\N", "Asia/Tokyo"),
        ),
    )
    assert second == {
        **{"rows": 5, "added": 1, "changed": 1, "unchanged": 1, "repeated": 1, "rejected": 1},
        "rejections": [
            {
                "line": 5,
                "reason": "number: must be a phone number 7XXXXXXXXXX, 11 digits that begin with 7:"
                " an integer, or a string like '+7 (905) 700-30-50'",
            }
        ],
    }
    clients = (await api.get("/api/client/")).json()["items"]
    assert [(one["number"], one["code"], one["tag"], one["zone"]) for one in clients] == [
        (79050000001, 905, "#a", MOSCOW),
        (79050000002, 905, "#b", MOSCOW),
        (79050000003, 905, "#last \\N", "Asia/Tokyo"),
    ]


async def test_what_is_exported_can_be_imported_and_changes_nothing(api: httpx.AsyncClient) -> None:
    rows = [(79050000000 + n, f'tag "{n}", and more', MOSCOW) for n in range(3_000)]
    await upload(api, file_of(*rows))
    exported = await api.get("/api/client/export/")
    assert exported.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(exported.text, newline="")))[1:] == [
        [str(n), tag, zone] for n, tag, zone in rows
    ]
    again = await upload(api, exported.content)
    assert (again["added"], again["changed"], again["unchanged"], again["rejected"]) == (0, 0, 3_000, 0)


async def test_any_tag_that_the_api_accepts_comes_back_unchanged_and_no_spreadsheet_runs_it(
    api: httpx.AsyncClient,
) -> None:
    tags = [
        "=1+1",
        "+7",
        "-x",
        "@a",
        "'=x",
        "''-",
        "'plain",
        "\ufffd",
        'a,"b"',
        "\xa0wide\u3000",
        "\ufeffx",
        "x" * 100,
    ]
    for n, tag in enumerate(tags):
        body = {"number": 79050000001 + n, "tag": tag, "zone": MOSCOW}
        assert (await api.post("/api/client/", json=body)).status_code == 201
    exported = (await api.get("/api/client/export/")).content
    cells = [tag for _, tag, _ in list(csv.reader(io.StringIO(exported.decode(), newline="")))[1:]]
    assert cells[:7] == ["'=1+1", "'+7", "'-x", "'@a", "''=x", "'" * 3 + "-", "'plain"]
    again = await upload(api, exported)
    assert (again["unchanged"], again["rows"]) == (len(tags), len(tags))


@pytest.mark.parametrize("tag", ["a\nb", "a\x00b", "a\x1bb", "a\x85b", "a\u2028b", " \x1f", "x" * 101])
async def test_a_tag_that_one_way_refuses_the_other_refuses_too(api: httpx.AsyncClient, tag: str) -> None:
    created = await api.post("/api/client/", json={"number": 79050000001, "tag": tag, "zone": MOSCOW})
    assert created.status_code == 422
    assert [error["field"] for error in created.json()["errors"]] == ["tag"]
    imported = await upload(api, file_of((79050000001, tag, MOSCOW)))
    assert (imported["added"], imported["changed"]) == (0, 0)


async def test_a_form_with_a_file_is_imported_with_defaults(api: httpx.AsyncClient) -> None:
    answer = await api.post(
        "/api/client/import/",
        params={"tag": " #form ", "zone": MOSCOW},
        files={"file": ("clients.csv", b"number\n79050000001\n", "application/vnd.ms-excel")},
    )
    assert (answer.status_code, answer.json()["added"]) == (200, 1)
    [client] = (await api.get("/api/client/")).json()["items"]
    assert (client["tag"], client["zone"]) == ("#form", MOSCOW)
    for wrong in ({"tag": ""}, {"tag": "a\nb"}, {"zone": "Moscow"}):
        answer = await api.post("/api/client/import/", params=wrong, content=b"", headers=CSV)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [*wrong]


async def test_a_repeated_import_is_another_one_whatever_its_key_and_changes_nothing(
    api: httpx.AsyncClient,
) -> None:
    content, headers = file_of((79050000001, "#a", MOSCOW)), {**CSV, "Idempotency-Key": "the same"}
    first, again = [
        (await api.post("/api/client/import/", content=content, headers=headers)).json() for _ in range(2)
    ]
    assert (first["added"], first["unchanged"]) == (1, 0)
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 1)


async def test_an_upload_that_breaks_off_changes_nothing(api: httpx.AsyncClient) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield file_of((79050000001, "#a", MOSCOW))
        raise ClientDisconnect  # Starlette raises this

    answer = await api.post("/api/client/import/", content=breaking(), headers=CSV)
    assert answer.status_code == 422  # which nobody reads
    assert (await api.get("/api/client/")).json()["items"] == []


async def test_two_imports_at_once_both_come_through(api: httpx.AsyncClient) -> None:
    ahead = [(79050000000 + n, "#ahead", MOSCOW) for n in range(2_000)]
    back = [(number, "#back", zone) for number, _, zone in reversed(ahead)]
    one, other = await asyncio.gather(upload(api, file_of(*ahead)), upload(api, file_of(*back)))
    assert {one["added"], other["added"]} == {0, 2_000}
    assert {one["changed"], other["changed"]} == {0, 2_000}


@asynccontextmanager
async def last_client_locked(database_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """Lock the client with the highest number, at whom an import of `MANY` stops when most of it is merged."""
    async with (
        await psycopg.AsyncConnection.connect(database_url) as other,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as watch,
    ):
        await other.execute("SELECT FROM clients ORDER BY number DESC LIMIT 1 FOR UPDATE")
        yield watch


MANY = [(79050000000 + n, "#new", MOSCOW) for n in range(2 * BATCH + 1)]


async def test_while_an_import_is_merged_its_clients_can_be_changed(
    api: httpx.AsyncClient, database_url: str
) -> None:
    await upload(api, file_of(*((number, "#old", zone) for number, _, zone in MANY)))
    async with last_client_locked(database_url) as watch:
        importing = asyncio.create_task(upload(api, file_of(*MANY)))
        await eventually(lambda: waits_for_a_lock(watch))
        for n in range(10):
            changed = await api.patch(f"/api/client/{1 + n * 400}/", json={"tag": "#mine"})
            assert changed.status_code == 200
    assert (await importing)["changed"] == len(MANY)
    assert len((await api.get("/api/client/?tag=%23mine")).json()["items"]) == 10


async def test_of_two_overlapping_imports_one_follows_the_other(api: httpx.AsyncClient, database_url: str) -> None:
    old, later = ([(number, tag, zone) for number, _, zone in MANY] for tag in ("#old", "#later"))
    await upload(api, file_of(*old))
    async with last_client_locked(database_url) as watch:
        first = asyncio.create_task(upload(api, file_of(*MANY)))
        await eventually(lambda: waits_for_a_lock(watch))
        other = asyncio.create_task(upload(api, file_of(*later)))
        await eventually(lambda: waits_for_a_lock(watch, "advisory"))
    assert [one["changed"] for one in await asyncio.gather(first, other)] == [len(MANY), len(MANY)]
    for n in range(10):
        assert (await api.get(f"/api/client/{1 + n * 400}/")).json()["tag"] == "#later"


async def test_an_import_whose_database_fails_can_be_repeated(api: httpx.AsyncClient, database_url: str) -> None:
    await upload(api, file_of(*((number, "#old", zone) for number, _, zone in MANY)))
    async with last_client_locked(database_url) as watch:
        importing = asyncio.create_task(api.post("/api/client/import/", content=file_of(*MANY), headers=CSV))
        await eventually(lambda: waits_for_a_lock(watch))
        await watch.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        assert (await importing).status_code == 503
    again = await upload(api, file_of(*MANY))
    assert (again["changed"], again["unchanged"]) == (1, 2 * BATCH)


async def test_the_log_names_each_client_that_an_import_wrote(api: httpx.AsyncClient, lines: LogCapture) -> None:
    await upload(api, file_of((79050000001, "#a", MOSCOW), (79050000002, "#a", MOSCOW)))
    await upload(
        api, file_of((79050000001, "#a", MOSCOW), (79050000002, "#b", MOSCOW), (79050000003, "#a", MOSCOW))
    )
    written = [line for line in lines.entries if line["event"] in ("clients_added", "clients_changed")]
    ids = {one["number"]: one["id"] for one in (await api.get("/api/client/")).json()["items"]}
    assert [(line["event"], line["client_ids"]) for line in written] == [
        ("clients_added", [ids[79050000001], ids[79050000002]]),
        ("clients_added", [ids[79050000003]]),
        ("clients_changed", [ids[79050000002]]),
    ]
    assert all(line["request_id"] for line in written)


async def test_one_transfer_too_many_is_refused_with_retry_after_and_delays_nobody_else(
    api: httpx.AsyncClient,
) -> None:
    over = asyncio.Event()

    def lasting(number: int, begun: asyncio.Event) -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            yield file_of((number, "#a", MOSCOW))
            begun.set()
            await over.wait()

        return pieces()

    begun = [asyncio.Event(), asyncio.Event()]  # as many as MAILING_API_TRANSFERS
    uploads = [
        asyncio.create_task(api.post("/api/client/import/", content=lasting(79050000001 + n, event), headers=CSV))
        for n, event in enumerate(begun)
    ]
    async with asyncio.timeout(20):
        await asyncio.gather(*(event.wait() for event in begun))
    refused = await asyncio.gather(
        api.get("/api/client/export/"),
        api.post("/api/client/import/", content=file_of((79050000003, "#a", MOSCOW)), headers=CSV),
    )
    for answer in refused:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "All connections to PostgreSQL are in use; try again in 5 seconds."
    assert (await api.get("/api/client/")).json()["items"] == []
    over.set()
    assert [answer.status_code for answer in await asyncio.gather(*uploads)] == [200, 200]
    assert (await api.get("/api/client/export/")).text.count("\n") == 3


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "text/csv"),
        (b"79050000001,#a,Europe/Moscow\n", "text/csv"),
        (file_of((79050000001, "#a", MOSCOW)), "application/json"),
        (file_of((79050000001, "#a", MOSCOW)), "text/plain"),
    ],
)
async def test_a_body_that_is_no_csv_of_clients_is_refused(
    api: httpx.AsyncClient, content: bytes, kind: str
) -> None:
    answer = await api.post("/api/client/import/", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body"


async def test_a_mailings_messages_are_exported_as_they_are(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    settings = settings.model_copy(update={"chunk_size": 1})
    await add_clients(engine, 5)
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)
    await query(engine, "UPDATE mailings SET started_at = '2030-01-01T10:00:00Z' RETURNING 1")
    await query(
        engine,
        """
        UPDATE messages AS m SET status = became.status::message_status, reason = became.reason::message_reason,
            settled_at = '2030-01-01T10:00:01.5Z', tries = became.tries
        FROM (VALUES
            (1, 'sent', 'none', 1),
            (2, 'failed', 'answer', 2), (5, 'canceled', 'client', 0)
        ) AS became (client_id, status, reason, tries)
        WHERE m.client_id = became.client_id RETURNING 1
        """,
    )
    await query(
        engine,
        "UPDATE jobs SET state = 'released' FROM messages AS m"
        " WHERE jobs.id = m.job_id AND m.client_id = 4 RETURNING 1",
    )
    await query(engine, "DELETE FROM clients WHERE id = 5 RETURNING 1")
    exported = await api.get(f"/api/mailing/{mailing_id}/messages/export/")
    assert exported.headers["content-type"].startswith("text/csv")
    start, end = "2030-01-01 10:00:00+00", "2030-01-01 10:00:01.5+00"
    (header, *rows) = csv.reader(io.StringIO(exported.text, newline=""))
    assert header == ["id", "client_id", "number", "status", "reason", "created_at", "settled_at", "tries"]
    assert [row[1:] for row in rows] == [
        ["1", "79050000000", "sent", "", start, end, "2"],
        ["2", "79050000001", "failed", "answer", start, end, "3"],
        ["3", "79050000002", "new", "", start, "", "0"],
        ["4", "79050000003", "active", "", start, "", "0"],
        ["5", "", "canceled", "client", start, end, "0"],
    ]
    listed = (await api.get(f"/api/mailing/{mailing_id}/messages/")).json()["items"]
    assert [(row[0], row[3], row[4]) for row in rows] == [
        (str(one["id"]), one["status"], one["reason"] or "") for one in listed
    ]


async def test_the_export_of_a_mailing_without_messages_is_a_header(api: httpx.AsyncClient) -> None:
    sent = await api.post("/api/message/", json={"number": 79990000001, "text": "hello"})
    assert sent.status_code == 201
    body = {"starts_at": "2020-01-01", "expired_at": "2099-01-01T00:00", "text": "x", "filter": "#a"}
    mailing = await api.post("/api/mailing/", json={**body, "starts_at": "2020-01-01T00:00"})
    exported = await api.get(f"/api/mailing/{mailing.json()['id']}/messages/export/")
    assert exported.text == "id,client_id,number,status,reason,created_at,settled_at,tries\n"
    assert (await api.get("/api/mailing/999/messages/export/")).status_code == 404
