"""A mailing is changed in mid-run: what the provider gets to see of it."""

import json
from dataclasses import dataclass
from pathlib import Path

from services.planner.pacing import AHEAD
from tests.e2e.system import running_system, until
from tests.integration.scripted import answer, scripted
from tests.servers import Servers

RATE = 100


@dataclass(frozen=True, slots=True)
class Provider:
    """One that takes everybody's word."""

    url: str
    token: str = "any"


async def test_a_changed_text_is_that_of_all_messages_that_were_not_with_a_sender(
    own_servers: Servers, tmp_path: Path
) -> None:
    async with (
        scripted(answer(200)) as server,
        running_system(own_servers, Provider(server.url), tmp_path) as system,
    ):

        def texts() -> list[str]:
            return [json.loads(request.body)["text"] for request in server.requests]

        async def is_under_way() -> bool:
            return len(texts()) > RATE

        audience = await system.add_audience(600)
        mailing = await system.add_mailing(audience.tag, text="old", rate=RATE)
        await until(is_under_way, timeout=20, what="a part of the messages has arrived")
        assert set(texts()) == {"old"}
        changed = (await system.api.patch(f"/api/mailing/{mailing}/", json={"text": "new"})).raise_for_status()
        assert await system.until_settled(mailing, 600) == {"sent": 600, "total": 600}
        status = changed.json()["messages_status"]
        gone, under_release = status["sent"] + status["active"], RATE * AHEAD
        assert texts().count("new") >= max(1, 600 - gone - under_release)
        assert texts().count("old") + texts().count("new") == 600
