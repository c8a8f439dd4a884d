"""/mailings/: the list of mailings, by state and words of the text."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.live import LiveMailings
from services.console.pace import mean_pace, measured_pace
from services.console.rendering import render
from services.console.rest.answers import Mailing, Page
from services.console.rest.calls import Api
from services.console.session import api_for
from services.console.words import STATES
from shared.contracts import utc_now

PAGE = 25
LOOKED_AT = 200  # mailings in one call
CALLS = 5  # at most, for one page of a filtered list


async def show(request: Request) -> Response:
    """Show a page of the list; only its rows if htmx asks for them."""
    query = request.query_params
    state = query.get("state", "") if query.get("state") in STATES else ""
    words, after = query.get("q", "").strip()[:100], query.get("after", "")
    start = int(after) if after.isdecimal() and len(after) < 19 else None
    page = await _found(api_for(request), state, words, start)
    now = utc_now()
    live: LiveMailings = request.app.state.live
    live.observe([mailing for mailing in page.items if mailing.state == "running"], now)
    return render(
        request,
        "mailings/_rows.html" if request.headers.get("hx-target") == "rows" else "mailings/show.html",
        page=page,
        state=state,
        words=words,
        states=STATES,
        after=after,
        paces={m.id: measured_pace(m, live.samples(m.id), now) or mean_pace(m, now) for m in page.items},
    )


async def _found(api: Api, state: str, words: str, after: int | None) -> Page[Mailing]:
    """Return the next mailings that match.

    The API cannot filter mailings, so its pages are searched, a bounded number of them. `next` continues there.
    """
    if not state and not words:
        return await api.mailings(limit=PAGE, after=after)
    found: list[Mailing] = []
    for _ in range(CALLS):
        page = await api.mailings(limit=LOOKED_AT, after=after)
        for mailing in page.items:
            if _matches(mailing, state, words):
                found.append(mailing)
                if len(found) == PAGE:
                    return Page(items=found, next=mailing.id)
        after = page.next
        if after is None:
            break
    return Page(items=found, next=after)


def _matches(mailing: Mailing, state: str, words: str) -> bool:
    if state:
        shown = "paused" if mailing.paused and mailing.state in {"scheduled", "running"} else mailing.state
        if shown != state:
            return False
    searched = f"{mailing.name or ''}\n{mailing.text}".casefold()
    return not words or words.casefold() in searched or words == str(mailing.id)


ROUTES = [Route("/mailings/", show)]
