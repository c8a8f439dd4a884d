"""Pages: one module for each thing that people work with."""

from starlette.routing import BaseRoute, Route

from services.console import assets
from services.console.pages import (
    bulk,
    clients,
    health,
    help_page,
    imports,
    mailing,
    mailing_change,
    mailing_control,
    mailings,
    messages,
    new_mailing,
    overview,
    preferences,
    sign_in,
)


def routes() -> list[BaseRoute]:
    """Return every address of the console."""
    return [
        *overview.ROUTES,
        *mailings.ROUTES,
        *bulk.ROUTES,
        *new_mailing.ROUTES,
        *mailing.ROUTES,
        *mailing_change.ROUTES,
        *mailing_control.ROUTES,
        *imports.ROUTES,
        *clients.ROUTES,
        *messages.ROUTES,
        *help_page.ROUTES,
        *preferences.ROUTES,
        *sign_in.ROUTES,
        *health.ROUTES,
        Route("/static/{version}/{name:path}", assets.serve),
    ]
