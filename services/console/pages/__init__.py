"""Pages: one module for each thing that people work with."""

from starlette.routing import BaseRoute, Route

from services.console import assets
from services.console.pages import (
    audit,
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
    people,
    preferences,
    programs,
    results,
    sign_in,
    sign_in_oidc,
    stop_list,
    webhooks,
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
        *stop_list.ROUTES,
        *clients.ROUTES,
        *results.ROUTES,
        *messages.ROUTES,
        *webhooks.ROUTES,
        *help_page.ROUTES,
        *preferences.ROUTES,
        *sign_in_oidc.ROUTES,
        *sign_in.ROUTES,
        *people.ROUTES,
        *programs.ROUTES,
        *audit.ROUTES,
        *health.ROUTES,
        Route("/static/{version}/{name:path}", assets.serve),
    ]
