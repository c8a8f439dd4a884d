"""A mailing is changed in mid-run: what the provider gets to see of it, and what the API says of it later."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from services.planner.pacing import AHEAD
from tests.e2e.system import Audience, System, running_system, until
from tests.integration.scripted import Request, answer, scripted
from tests.servers import Servers

RATE = 100


@dataclass(frozen=True, slots=True)
class Provider:
    """One that takes everybody's word."""

    url: str
    token: str = "any"


@dataclass(slots=True)
class Record:
    """Texts that a provider has accepted: the first one of each message, as it is idempotent.

    It first has no time for some messages, and of others it takes the message and loses its answer.
    """

    texts: dict[int, str] = field(default_factory=dict)
    tries: Counter[int] = field(default_factory=Counter)

    async def play(self, request: Request, writer: asyncio.StreamWriter) -> None:
        body = json.loads(request.body)
        self.tries[body["id"]] += 1
        is_first = self.tries[body["id"]] == 1
        if is_first and body["id"] % 20 == 3:
            await answer(503)(request, writer)
            return
        self.texts.setdefault(body["id"], body["text"])
        if is_first and body["id"] % 20 == 7:
            writer.close()
        else:
            await answer(200)(request, writer)


async def stories(system: System, mailing: int) -> dict[int, str]:
    """The text of each message, as its story shows it."""
    page = (await system.api.get(f"/api/mailing/{mailing}/messages/", params={"limit": 1000})).json()
    found = {}
    for message in page["items"]:
        found[message["id"]] = (await system.api.get(f"/api/message/{message['id']}/")).json()["text"]
    return found


async def name_half(system: System, audience: Audience) -> None:
    rows = [f"{number},Anna{number}" for number in audience.numbers if number % 2]
    answer = await system.api.post(
        "/api/client/import/",
        params={"tag": audience.tag, "zone": "Europe/Moscow"},
        content="\n".join(["number,attr.name", *rows]),
        headers={"Content-Type": "text/csv"},
    )
    assert answer.json()["changed"] == len(rows), answer.text


async def test_a_story_shows_the_text_that_went_out_also_after_a_change_in_mid_run(
    own_servers: Servers, tmp_path: Path
) -> None:
    record = Record()
    async with (
        scripted(record.play) as server,
        running_system(own_servers, Provider(server.url), tmp_path) as system,
    ):
        audience = await system.add_audience(500)
        await name_half(system, audience)
        plain = await system.add_mailing(audience.tag, text="old", rate=RATE)
        personal = await system.add_mailing(audience.tag, text="old {name|friend}", rate=RATE)

        async def are_under_way() -> bool:
            begun = Counter(text.partition(" ")[0] + text[3:4] for text in record.texts.values())
            return begun["old"] > RATE and begun["old "] > RATE

        await until(are_under_way, timeout=20, what="a part of the messages has arrived")
        assert {text[:3] for text in record.texts.values()} == {"old"}
        statuses: dict[int, dict[str, int]] = {}
        for mailing, text in ((plain, "new"), (personal, "new {name|friend}")):
            changed = await system.api.patch(f"/api/mailing/{mailing}/", json={"text": text})
            statuses[mailing] = changed.raise_for_status().json()["messages_status"]
        for mailing, status in statuses.items():
            assert await system.until_settled(mailing, 500) == {"sent": 500, "total": 500}
            shown = await stories(system, mailing)
            assert shown == {message: record.texts[message] for message in shown}
            assert len(shown) == 500
            gone, under_release = status["sent"] + status["active"], RATE * AHEAD
            repeated = sum(message % 20 == 7 for message in shown)
            assert sum(text.startswith("new") for text in shown.values()) >= 500 - gone - under_release - repeated
            assert any(text.startswith("new") for text in shown.values())
        numbers = Counter(text.removeprefix("new ").removeprefix("old ") for text in shown.values())
        assert numbers == Counter({"friend": 250} | {f"Anna{n}": 1 for n in audience.numbers if n % 2})
