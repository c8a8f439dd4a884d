"""Every page of the console once, with names for tests and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

DRAFT = "?tag=%23pages&text=Your+order+is+ready&end=2035-01-01T10:00&begin=09:00&until=21:00&rate=50"


@dataclass(frozen=True, slots=True)
class Things:
    """Mailing, client and message that the pages show."""

    mailing_id: int
    client_id: int
    message_id: int
    number: int


def pages(things: Things, draft: str = DRAFT) -> Mapping[str, str]:
    """Return the address of every page by its name."""
    mailing, client = f"/mailings/{things.mailing_id}", f"/clients/{things.client_id}"
    return {
        "mailing": f"{mailing}/",
        "overview": "/",
        "mailings": "/mailings/",
        "mailing-messages": f"{mailing}/messages/",
        "mailing-pause": f"{mailing}/pause/",
        "mailing-cancel": f"{mailing}/cancel/",
        "mailing-retry": f"{mailing}/retry/",
        "mailing-change": f"{mailing}/change/",
        "mailing-delete": f"{mailing}/delete/",
        "new-recipients": f"/mailings/new/recipients/{draft}",
        "new-text": f"/mailings/new/text/{draft}",
        "new-time": f"/mailings/new/time/{draft}",
        "new-check": f"/mailings/new/check/{draft}",
        "clients": "/clients/",
        "client": f"{client}/",
        "client-edit": f"{client}/edit/",
        "client-delete": f"{client}/delete/",
        "client-new": "/clients/new/",
        "stop-list": "/clients/stop-list/",
        "import": "/clients/import/",
        "messages": "/messages/",
        "results": "/messages/results/",
        "history": f"/messages/?number={things.number}",
        "message": f"/messages/{things.message_id}/",
        "webhooks": "/webhooks/",
        "help": "/help/",
        "people": "/access/people/",
        "person-new": "/access/people/new/",
        "programs": "/access/programs/",
        "audit": "/access/audit/",
        "sign-in": "/sign-in/",
        "sign-in-link": "/sign-in/link/one-time",
        "no-such-page": "/nowhere/",
    }
