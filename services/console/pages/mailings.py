"""/mailings/: the list of mailings, by state, kind, words, and the day of the start."""

from collections.abc import Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.forms import instant
from services.console.live import LiveMailings
from services.console.pace import mean_pace, measured_pace
from services.console.preferences import preferences_of
from services.console.rendering import render
from services.console.rest.answers import Mailing, Page
from services.console.rest.calls import Query
from services.console.rest.errors import Invalid
from services.console.session import api_for
from services.console.translation import N_
from services.console.words import STATES
from shared.contracts import utc_now

PAGE = 25
FILTERS = ("state", "q", "kind", "from", "until", "sort")
SORTS = {
    "": N_("Newest first"),
    "id": N_("Oldest first"),
    "starts_at": N_("First to start"),
    "-starts_at": N_("Last to start"),
    "expired_at": N_("First to end"),
    "-expired_at": N_("Last to end"),
}
KINDS = ("marketing", "service")


async def show(request: Request) -> Response:
    """Show a page of the list; only its rows if htmx asks for them."""
    wanted = {name: request.query_params.get(name, "").strip()[:100] for name in FILTERS}
    wanted["state"] = wanted["state"] if wanted["state"] in STATES else ""
    after = request.query_params.get("after", "")
    errors: Mapping[str, str] = {}
    page: Page[Mailing] = Page(items=[], next=None)
    try:
        conditions = _conditions(wanted, preferences_of(request).zone)
        page = await api_for(request).mailings(limit=PAGE, after=after, conditions=conditions)
    except Invalid as error:
        errors = error.by_field
    now = utc_now()
    live: LiveMailings = request.app.state.live
    live.observe([mailing for mailing in page.items if mailing.state == "running"], now)
    return render(
        request,
        "mailings/_rows.html" if request.headers.get("hx-target") == "rows" else "mailings/show.html",
        page=page,
        wanted=wanted,
        errors=errors,
        states=STATES,
        sorts=SORTS,
        kinds=KINDS,
        after=after,
        paces={m.id: measured_pace(m, live.samples(m.id), now) or mean_pace(m, now) for m in page.items},
    )


def _conditions(wanted: Mapping[str, str], zone: ZoneInfo) -> Query:
    """Return what is wanted as the API takes it. The dates are days of the person's time zone."""
    state = wanted["state"]
    shown: dict[str, str | int | None] = {"state": state, "q": wanted["q"], "kind": wanted["kind"]}
    if state == "paused":
        shown |= {"state": None, "paused": "true"}
    elif state in {"waiting", "scheduled", "running"}:
        shown["paused"] = "false"
    since, until = (instant(f"{day}T00:00", zone) if day else None for day in (wanted["from"], wanted["until"]))
    return {
        **shown,
        "starts_from": since.isoformat() if since else None,
        "starts_until": (until + timedelta(days=1)).isoformat() if until else None,
        "sort": wanted["sort"],
    }


ROUTES = [Route("/mailings/", show)]
