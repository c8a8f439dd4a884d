"""/mailings/N/: one mailing, live while it runs, with its messages by status."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from services.console.foresight import next_hours, previewed_mailing, reach
from services.console.live import LiveMailings, Snapshot
from services.console.pace import Sample, mean_pace, measured_pace
from services.console.preferences import preferences_of
from services.console.rendering import render, render_text
from services.console.rest.answers import Mailing, Progress
from services.console.rest.calls import Api
from services.console.session import api_for
from services.console.unsent import unsent_groups
from services.console.words import is_over
from shared.contracts import utc_now
from shared.sms_parts import parts
from shared.statuses import MessageStatus

PAGE = 50
STREAM_HEADERS = {"X-Accel-Buffering": "no"}  # a proxy must pass events on at once


async def show(request: Request) -> Response:
    """Show a mailing."""
    api, live = api_for(request), _live(request)
    mailing = await api.mailing(request.path_params["mailing_id"])
    groups, course = await asyncio.gather(unsent_groups(api, mailing), _course(api, mailing))
    snapshot = Snapshot(mailing, utc_now(), live.samples(mailing.id), groups)
    preview, errors = await previewed_mailing(api, mailing) if mailing.state == "scheduled" else (None, ())
    window = mailing.window
    return render(
        request,
        "mailing/show.html",
        **facts(snapshot),
        parts=parts(mailing.text),
        rates=json.dumps(curve(course, snapshot.samples)),
        step="time",
        preview=preview,
        errors=errors,
        reach=reach(window.begin if window else "", window.until if window else "", preview),
        hours=next_hours(preferences_of(request).zone),
    )


async def follow(request: Request) -> Response:
    """Send the changing parts of the page as events, as long as somebody looks."""
    mailing_id = request.path_params["mailing_id"]
    await api_for(request).mailing(mailing_id)  # 404 and 401 before the stream begins
    return StreamingResponse(_events(request, mailing_id), media_type="text/event-stream", headers=STREAM_HEADERS)


async def _events(request: Request, mailing_id: int) -> AsyncIterator[str]:
    shown: dict[str, str] = {}
    snapshot: Snapshot | None = None
    async for snapshot in _live(request).watch(mailing_id, api_for(request)):
        if snapshot.mailing.state != "scheduled" and request.query_params.get("state") == "scheduled":
            yield _event("started", "now")  # the page has other parts from now on, and asks for them
            continue
        for name in ("facts", "unsent"):
            text = render_text(request, f"mailing/_{name}.html", **facts(snapshot))
            if shown.get(name) != text:
                shown[name] = text
                yield _event(name, text)
        if snapshot.away_since is None and (newest := rates(snapshot.samples[-6:])):
            yield _event("sample", json.dumps(newest[-1]))
    if snapshot is not None and is_over(snapshot.mailing):
        yield _event("over", "")


def facts(snapshot: Snapshot) -> dict[str, object]:
    """Return what the templates of the changing parts need."""
    mailing, at = snapshot.mailing, snapshot.at
    measured = measured_pace(mailing, snapshot.samples, at)
    return {
        "mailing": mailing,
        "pace": measured or mean_pace(mailing, at),
        "is_mean": measured is None,
        "groups": snapshot.groups,
        "away_since": snapshot.away_since,
    }


def rates(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Return points of the chart: the instant, and the messages a second over about the last five seconds."""
    points = []
    for index, sample in enumerate(samples):
        before = samples[max(0, index - 5)]
        seconds = (sample.at - before.at).total_seconds()
        if seconds > 0:
            rate = max(0, sample.handled - before.handled) / seconds
            points.append((round(sample.at.timestamp(), 1), round(rate, 1)))
    return points


async def _course(api: Api, mailing: Mailing) -> Progress:
    if mailing.state == "scheduled":
        return Progress(step=1, points=())
    return await api.progress(mailing.id)


def curve(course: Progress, samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Return points of the chart: the course as it is recorded, then the finer samples of those who watch."""
    fine = rates(samples)
    points: list[tuple[float, float]] = []
    for period in course.points:
        at = period.at.timestamp()
        if points and at - points[-1][0] > course.step:  # nothing ended in between
            points += [(points[-1][0] + course.step, 0.0), (at - 0.1, 0.0)]
        points.append((at, round(period.handled / course.step, 1)))
    begin = fine[0][0] if fine else float("inf")
    return [point for point in points if point[0] + course.step <= begin] + fine


async def messages(request: Request) -> Response:
    """List the messages of a mailing, those in one status if the address says so."""
    api, mailing_id = api_for(request), request.path_params["mailing_id"]
    wanted = request.query_params.get("status", "")
    status = MessageStatus(wanted) if wanted in set(MessageStatus) else None
    mailing, page = await asyncio.gather(
        api.mailing(mailing_id),
        api.mailing_messages(mailing_id, status=status, limit=PAGE, after=_cursor(request)),
    )
    return render(request, "mailing/messages.html", mailing=mailing, page=page, status=status)


async def export(request: Request) -> Response:
    """Pass the API's CSV of a mailing's messages on as it comes."""
    mailing_id = request.path_params["mailing_id"]
    return await passed_on(request, f"/api/mailing/{mailing_id}/messages/export/", f"mailing-{mailing_id}.csv")


async def passed_on(request: Request, path: str, name: str) -> Response:
    """Return an export of the API as a file to keep. Its errors come before the first byte."""
    download = api_for(request).download(path)
    pieces = await download.__aenter__()

    async def body() -> AsyncIterator[bytes]:
        try:
            async for piece in pieces:
                yield piece
        finally:
            await download.__aexit__(None, None, None)

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body(), media_type="text/csv", headers=headers)


def _cursor(request: Request) -> int | None:
    text = request.query_params.get("after", "")
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _event(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {name}\n{lines}\n"


def _live(request: Request) -> LiveMailings:
    live = request.app.state.live
    assert isinstance(live, LiveMailings)
    return live


ROUTES = [
    Route("/mailings/{mailing_id:int}/", show),
    Route("/mailings/{mailing_id:int}/live/", follow),
    Route("/mailings/{mailing_id:int}/messages/", messages),
    Route("/mailings/{mailing_id:int}/messages.csv", export),
]
