"""Texts with placeholders, and texts that change in mid-run: from the request to the story of a message."""

import random
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.reaping import ReapRound, reclaim
from services.planner.settings import PlannerSettings
from shared.contracts import Job, Outcome, ReturnReason, utc_now
from shared.database.transactions import transaction
from shared.placeholders import parse_template
from shared.sms_parts import parts
from tests.integration.ledger import claim, expand_all, query
from tests.integration.test_recording import all_accepted, record, result, said

MOSCOW = "Europe/Moscow"
NAMES = ["Anna", "Анна", "a" * 200, "b^{}" * 30, "😀" * 20, "я" * 66, "", "c" * 150, "é", "Ё"]


async def add(api: httpx.AsyncClient, count: int, *names: str) -> None:
    """Import clients with these names, in turn; an empty one is none."""
    rows = [f'{79050000000 + n},#t,{MOSCOW},"{names[n % len(names)]}"' for n in range(count)]
    content = "\n".join(["number,tag,zone,attr.name", *rows])
    answer = await api.post("/api/client/import/", content=content, headers={"Content-Type": "text/csv"})
    assert answer.json()["added"] == count, answer.text


def body(text: str) -> dict[str, object]:
    now = utc_now()
    times = {"starts_at": now.isoformat(), "expired_at": (now + timedelta(hours=1)).isoformat()}
    return {**times, "text": text, "filter": "#t"}


async def create(api: httpx.AsyncClient, text: str) -> int:
    answer = await api.post("/api/mailing/", json=body(text))
    assert answer.status_code == 201, answer.text
    assert answer.json()["has_placeholders"] is ("{" in text)
    return int(answer.json()["id"])


async def change(api: httpx.AsyncClient, mailing: int, text: str) -> None:
    (await api.patch(f"/api/mailing/{mailing}/", json={"text": text})).raise_for_status()


async def take(engine: AsyncEngine, mailing: int, messages: int = 10) -> list[Job]:
    now = utc_now()
    async with transaction(engine) as connection:
        jobs = await claim(connection, {mailing: messages}, now + timedelta(minutes=1), now)
    return sorted(jobs, key=lambda job: job.job_id)


async def story(api: httpx.AsyncClient, message_id: int) -> str:
    shown = (await api.get(f"/api/message/{message_id}/")).json()
    items = (await api.get("/api/message/", params={"client": shown["client_id"]})).json()["items"]
    assert [item["text"] for item in items if item["id"] == message_id] == [shown["text"]]
    return str(shown["text"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Hi {", "has a brace at position 4 that no brace closes"),
        ("Hi {na me}", "has a placeholder at position 4 without the name of an attribute"),
        ("Hi {nmae}", "has a placeholder at position 4 for nmae, which no client has"),
        ("{name}", "must not be blank for a client without attributes"),
    ],
)
async def test_a_broken_text_is_refused_with_the_position(api: httpx.AsyncClient, text: str, message: str) -> None:
    await add(api, 1, "Anna")
    mailing = await create(api, "Hi {name}")
    for answer in (
        await api.post("/api/mailing/", json=body(text)),
        await api.post("/api/mailing/preview/", json=body(text)),
        await api.patch(f"/api/mailing/{mailing}/", json={"text": text}),
    ):
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["field"] == "text"
        assert message in error["message"]


async def test_each_client_gets_its_own_text(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add(api, 20, "Anna", "")
    mailing = await create(api, "Hello {name|friend}, {{")
    await expand_all(engine, mailing, settings)
    jobs = await take(engine, mailing, 20)
    for job in jobs:
        assert job.version == 2
        assert job.texts is not None
        assert job.client_ids is not None
        for client_id, text in zip(job.client_ids, job.texts, strict=True):
            assert text == ("Hello Anna, {" if client_id % 2 else "Hello friend, {")
        await record(engine, settings, said(job, accepted=all_accepted(job)))
        (await api.patch(f"/api/client/{job.client_ids[0]}/", json={"attributes": {}})).raise_for_status()
        for message, text in zip(job.messages, job.texts, strict=True):
            assert await story(api, message.id) == text


async def test_an_old_text_with_a_brace_is_sent_as_it_stands(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add(api, 1, "Anna")
    mailing = await create(api, "hello")
    await query(engine, "UPDATE mailings SET text = 'Hi { {name}' RETURNING 1")  # as before the migration
    (await api.patch(f"/api/mailing/{mailing}/", json={"rate": 100.0})).raise_for_status()
    await expand_all(engine, mailing, settings)
    (job,) = await take(engine, mailing)
    assert (job.text, job.texts) == ("Hi { {name}", None)
    times = {name: value for name, value in body("").items() if name.endswith("_at")}
    copied = await api.post(f"/api/mailing/{mailing}/duplicate/", json=times)
    assert copied.status_code == 422
    assert "at position 4" in copied.json()["errors"][0]["message"]


async def test_a_mailing_without_placeholders_keeps_no_texts(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add(api, 10, "Anna")
    mailing = await create(api, "hello")
    await expand_all(engine, mailing, settings)
    (job,) = await take(engine, mailing)
    assert (job.version, job.text, job.texts) == (1, "hello", None)
    for table in ("mailing_texts", "message_texts"):
        assert await query(engine, f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize(("old", "new"), [("old", "new"), ("old {name}", "new {name}"), ("old {name}", "new")])
async def test_a_message_that_may_have_been_sent_is_repeated_with_the_same_text(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings, old: str, new: str
) -> None:
    await add(api, 50, "Anna")
    mailing = await create(api, old)
    await expand_all(engine, mailing, settings)
    first, second, third, *_ = await take(engine, mailing, 30)
    was, becomes = (text.replace("{name}", "Anna") for text in (old, new))
    accepted, uncertain, deferred, returned, redelivered, *rest = [message.id for message in first.messages]
    await change(api, mailing, new)
    await record(
        engine,
        settings,
        said(
            first,
            result(uncertain, Outcome.UNCERTAIN),
            result(deferred, Outcome.DEFERRED),
            result(returned, Outcome.RETURNED, reason=ReturnReason.STOPPED),
            result(redelivered, Outcome.RETURNED, reason=ReturnReason.REDELIVERED),
            accepted=tuple(one for one in all_accepted(first) if one.message_id in {accepted, *rest}),
        ),
        said(third, accepted=all_accepted(third)),
    )
    # The lease of the second job ends, and nothing is known of its messages.
    await query(engine, "UPDATE jobs SET lease_until = now() WHERE id = :id RETURNING 1", id=second.job_id)
    later = utc_now() + timedelta(minutes=5)
    await reclaim(ReapRound(engine, settings, later), later)
    await query(engine, "UPDATE jobs SET due_at = now() WHERE state = 'planned' RETURNING 1")
    texts = {}
    for job in await take(engine, mailing, 100):
        for message, text in zip(job.messages, job.texts or [job.text] * len(job.messages), strict=True):
            texts[message.id] = text
        await record(engine, settings, said(job, accepted=all_accepted(job)))
    kept = {uncertain, redelivered, *(message.id for message in second.messages)}
    assert {message for message, text in texts.items() if text == was} == kept
    assert {text for message, text in texts.items() if message not in kept} == {becomes}
    assert {deferred, returned} < texts.keys()
    for message_id in (*kept, accepted, rest[0], third.messages[0].id):
        assert await story(api, message_id) == was
    for message_id in (deferred, returned):
        assert await story(api, message_id) == becomes
    assert len(texts) == 34


async def test_a_preview_measures_the_texts_of_the_whole_audience(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await add(api, 40, *NAMES)
    stored = [row[0] or {} for row in await query(engine, "SELECT attributes FROM clients ORDER BY id")]
    rng = random.Random(7)
    for _ in range(12):
        filler = rng.choice(["a", "я", "€", "😀 "]) * rng.randint(1, 150)
        text = f"{filler} {{name|{rng.choice(['', 'friend', 'друг'])}}}"
        found = (await api.post("/api/mailing/preview/", json=body(text))).json()
        rendered = [parse_template(text).render(attributes) for attributes in stored]  # type: ignore[arg-type]
        assert found["most_parts"] == max(parts(one).count for one in rendered), text
        assert found["lacking"] == {"name": 4}
        assert [one["text"] for one in found["texts"]] == rendered[:5]
        assert [one["parts"] for one in found["texts"]] == [parts(one).count for one in rendered[:5]]


async def test_a_test_shows_the_text_of_the_client_with_the_number(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await add(api, 1, "Anna")
    mailing = await create(api, "Hello {name|friend}")
    answer = await api.post(f"/api/mailing/{mailing}/test/", json={"numbers": [79050000000, 79050000001]})
    assert [item["text"] for item in answer.json()["items"]] == ["Hello Anna", "Hello friend"]
    single = await api.post("/api/message/", json={"number": 79050000000, "text": "{name}"})
    assert single.json()["text"] == "{name}", "the text of a single message stands for itself"
    assert await query(engine, "SELECT text FROM mailings WHERE express ORDER BY id") == [
        ("Hello Anna",),
        ("Hello friend",),
        ("{name}",),
    ]
