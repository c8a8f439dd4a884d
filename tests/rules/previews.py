"""The preview: does what it says come true?"""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from services.api.mailings.schemas import Preview
from shared.contracts import utc_now
from tests.rules.world import World

OPEN, LATER = "Etc/GMT-1", "Etc/GMT"  # UTC+1 and UTC
RATE = 100
EXACT = 1.0  # seconds
EXACT_SHARE = 0.01  # of the mailing's duration


@dataclass(frozen=True, slots=True)
class Foreseen:
    """`off`: seconds between `finish` and the last arrival; so many are `allowed`. `miscounted`: places in
    `by_zone` and `by_code` with a wrong number."""

    off: float
    allowed: float
    late: int
    miscounted: int


async def check_preview(world: World, notice: float = 5) -> Foreseen:
    """A mailing that everybody gets in time, many of them not until their window opens, at the next whole minute.

    `notice` is how many seconds ahead that is, at least.
    """
    now = utc_now()
    opens = (now + timedelta(seconds=notice)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    closes = opens + timedelta(hours=6)
    world.add_clients(3 * RATE, "#preview", [OPEN])
    world.add_clients(10 * RATE, "#preview", [LATER])
    body = {
        "starts_at": now.isoformat(),
        "expired_at": (now + timedelta(hours=1)).isoformat(),
        "text": "soon",
        "filter": "#preview",
        "window": {"from": opens.strftime("%H:%M"), "until": closes.strftime("%H:%M")},
        "rate": RATE,
    }
    preview = await ask(world, body)
    created = (await world.system.api.post("/api/mailing/", json=body)).raise_for_status().json()
    await world.system.until_settled(created["id"], 13 * RATE, timeout=notice + 180)
    last = max(message.last_at for message in await world.arrived(created["id"]))
    assert preview.finish is not None
    return Foreseen(
        off=abs(preview.finish.timestamp() - last),
        allowed=max(EXACT, EXACT_SHARE * (last - now.timestamp())),
        late=preview.late,
        miscounted=miscounted(preview, world, created["id"]),
    )


async def ask(world: World, body: object) -> Preview:
    """Return the preview of such a mailing."""
    response = await world.system.api.post("/api/mailing/preview/", json=body)
    return Preview.model_validate_json(response.raise_for_status().content)


def miscounted(preview: Preview, world: World, mailing_id: int) -> int:
    """In how many places `by_zone` and `by_code` differ from the mailing's messages."""
    recipients = world.zone_and_code_of_recipients(mailing_id)
    zones, codes = Counter(zone for zone, _ in recipients), Counter(code for _, code in recipients)
    return len(preview.by_zone.items() ^ zones.items()) + len(preview.by_code.items() ^ codes.items())
