"""/: what runs, what starts next, and what went wrong lately."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.foresight import Foreseen, previewed_mailing
from services.console.live import LiveMailings
from services.console.pace import Pace, mean_pace, measured_pace
from services.console.preferences import preferences_of
from services.console.remembering import Remembered
from services.console.rendering import render
from services.console.rest.answers import Alert, Mailing
from services.console.rest.calls import Api
from services.console.rest.errors import ApiError
from services.console.session import api_for
from services.console.week import Week, last_week
from shared.contracts import utc_now

LOOKED_AT = 200  # newest mailings
NEXT = 5
LATELY = 8


_FACTS: Remembered["Facts"] = Remembered(seconds=2)
_WEEKS: Remembered[Week] = Remembered(seconds=30)
_PREVIEWS: Remembered[Foreseen] = Remembered(seconds=60)


@dataclass(frozen=True, slots=True)
class Facts:
    """Newest mailings, servers that the API needs, and alerts that have not ended."""

    mailings: Sequence[Mailing]
    needs: Mapping[str, str]
    alerts: Sequence[Alert]


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A scheduled mailing, and how many people it would go to now; None if that is not known."""

    mailing: Mailing
    recipients: int | None


async def show(request: Request) -> Response:
    """Show the overview; only its changing part if htmx asks for it."""
    api = api_for(request)
    is_update = "hx-request" in request.headers
    # Somebody who opens the page has perhaps just changed something; only the updates may be shared.
    read = _FACTS.get if is_update else _FACTS.renew
    facts = await read(api.token, lambda: _facts(api))
    mailings = facts.mailings
    now = utc_now()
    running = [mailing for mailing in mailings if mailing.state == "running"]
    live: LiveMailings = request.app.state.live
    live.observe(running, now)
    paces = {mailing.id: _pace_of(live, mailing) for mailing in running}
    scheduled = sorted((m for m in mailings if m.state == "scheduled"), key=lambda m: m.starts_at)
    finished = [m for m in mailings if m.state in {"finished", "canceled"}]
    template = "overview/_facts.html" if is_update else "overview/show.html"
    return render(
        request,
        template,
        running=running,
        paces=paces,
        late=[m for m in running if not m.paused and (pace := paces[m.id]) is not None and pace.late],
        upcoming=await _with_recipients(api, scheduled[:NEXT]),
        scheduled=len(scheduled),
        finished=finished[:LATELY],
        needs=facts.needs,
        alerts=facts.alerts,
        week=None if is_update else await _week(request, api),
    )


async def _week(request: Request, api: Api) -> Week:
    zone, now = preferences_of(request).zone, utc_now()
    return await _WEEKS.get((api.token, zone.key), lambda: last_week(api, zone, now))


def _pace_of(live: LiveMailings, mailing: Mailing) -> Pace | None:
    now = utc_now()
    return measured_pace(mailing, live.samples(mailing.id), now) or mean_pace(mailing, now)


async def _facts(api: Api) -> Facts:
    page, needs, alerts = await asyncio.gather(api.mailings(limit=LOOKED_AT), _readiness(api), api.open_alerts())
    return Facts(page.items, needs, alerts.items)


async def _readiness(api: Api) -> Mapping[str, str]:
    try:
        return await api.readiness()
    except ApiError:
        return {"status": "unavailable"}


async def _with_recipients(api: Api, mailings: Sequence[Mailing]) -> list[Upcoming]:
    return list(await asyncio.gather(*(_upcoming(api, mailing) for mailing in mailings)))


async def _upcoming(api: Api, mailing: Mailing) -> Upcoming:
    # The count of a large audience costs the database more than the list of mailings.
    key = (api.token, mailing.id, mailing.starts_at, mailing.expired_at, str(mailing.filter))
    preview, _ = await _PREVIEWS.get(key, lambda: previewed_mailing(api, mailing))
    return Upcoming(mailing, preview.recipients if preview else None)


ROUTES = [Route("/", show)]
