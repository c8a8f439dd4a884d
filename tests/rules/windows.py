"""Local windows: clients in every zone there is, while the window opens for some and closes for others."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.contracts import utc_now
from shared.zones import find_zone, known_zones
from tests.rules.previews import ask, miscounted
from tests.rules.world import World

CROWDED = "America/Lima"  # UTC-5 all year
LEFT = 1.3  # how many times what can go out until the window closes there
RATE = 100
PREVIEWED = 4  # seconds before the start: the forecast does not know how long somebody takes to make up their mind


@dataclass(frozen=True, slots=True)
class Windows:
    """`outside`: came at a wrong local time; `after_end`: came too late; `wrong`: did not end as it should;
    `forecast`: how far from what happened the preview was, as a fraction of all messages; `miscounted`: in how
    many zones and codes it was wrong."""

    zones: int
    cases: int
    outside: int
    after_end: int
    wrong: int
    forecast: float
    miscounted: int


async def check_windows(world: World, per_zone: int = 5, notice: float = 12, rest: float = 20) -> Windows:
    """Opens at UTC+1 and closes at UTC-5 in the same minute, the mailing's end being shortly after.

    So there are zones that are open all the time, that open, that close with messages left, and that stay closed.
    `notice` and `rest` are seconds before and after that minute.
    """
    now = utc_now()
    turn = (now + timedelta(seconds=notice)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    end = turn + timedelta(seconds=rest)
    start, until = (turn + timedelta(hours=1)).time(), (turn - timedelta(hours=5)).time()
    zones = sorted(known_zones())
    world.add_clients(per_zone, "#windows", zones)
    world.add_clients(int(LEFT * RATE * (turn - now).total_seconds()), "#windows", [CROWDED])
    body = {
        "starts_at": (now + timedelta(seconds=PREVIEWED)).isoformat(),
        "expired_at": end.isoformat(),
        "text": "good morning",
        "filter": "#windows",
        "window": {"from": start.strftime("%H:%M"), "until": until.strftime("%H:%M")},
        "rate": RATE,
    }
    preview = await ask(world, body)
    response = await world.system.api.post("/api/mailing/", json=body)
    response.raise_for_status()
    mailing_id = response.json()["id"]
    total = len(zones) * per_zone + int(LEFT * RATE * (turn - now).total_seconds())
    await world.system.until_settled(mailing_id, total, timeout=notice + rest + 120)
    messages = world.zone_and_end_by_message(mailing_id)
    arrived = await world.arrived(mailing_id)
    outside = after_end = 0
    for message in arrived:
        for instant in (message.first_at, *message.repeated_at):
            at = datetime.fromtimestamp(instant, UTC)
            outside += not _inside(at, messages[message.id][0], start.strftime("%H:%M"), until.strftime("%H:%M"))
            after_end += at >= end
    ids = {message.id for message in arrived}
    wrong = abs(len(messages) - total)
    for message_id, (zone, status, reason) in messages.items():
        if message_id in ids:
            wrong += status != "sent"
        else:
            closed = not _inside(
                end - timedelta(seconds=1), zone, start.strftime("%H:%M"), until.strftime("%H:%M")
            )
            expected = ("expired", "window" if closed else "end")
            if (status, reason) != expected:
                print(f"message {message_id} in {zone}: {status}, {reason} and not {expected}")
                wrong += 1
    late = len(messages) - len(arrived)
    forecast = max(abs(preview.recipients - len(messages)), abs(preview.late - late)) / len(messages)
    off = miscounted(preview, world, mailing_id)
    return Windows(len(zones), len(messages), outside, after_end, wrong, forecast, off)


def _inside(at: datetime, zone: str, start: str, until: str) -> bool:
    """Return the local time, as a clock there shows it."""
    clock = at.astimezone(find_zone(zone)).strftime("%H:%M:%S.%f")
    return start <= clock < until if start < until else clock >= start or clock < until
