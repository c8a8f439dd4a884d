"""/sign-in/oidc/: to the identity provider and back."""

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import local_path
from services.console.oidc import LOGIN_LIFETIME, RETURN, IdentityProvider, Login, LoginRefused
from services.console.pages.sign_in import begin_session, sign_in_page
from services.console.rest.errors import Refused
from services.console.session import api_for
from services.console.translation import N_
from shared.issuer import IssuerUnavailable

log = structlog.get_logger()

NOT_LET_IN = N_("The identity provider did not let you in, or this sign-in is older than ten minutes. Try again.")
AWAY = N_("The identity provider does not answer. Try again soon.")
SECURE_COOKIE, PLAIN_COOKIE = "__Host-login", "login"


async def leave(request: Request) -> Response:
    """Send the person to the provider."""
    back = local_path(request.query_params.get("back", "/"))
    provider = _provider(request)
    if provider is None:
        return RedirectResponse("/sign-in/", 303)
    login = Login.begin(back)
    try:
        answer = RedirectResponse(await provider.address(login, _redirect_uri(request)), 303)
    except IssuerUnavailable as error:
        log.warning("identity_provider_unavailable", error=str(error))
        return sign_in_page(request, 503, back=back, error=AWAY)
    is_secure = request.url.scheme == "https"
    answer.set_cookie(
        SECURE_COOKIE if is_secure else PLAIN_COOKIE,
        login.as_cookie(),
        max_age=LOGIN_LIFETIME,
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="lax",
    )
    return answer


async def arrive(request: Request) -> Response:
    """Take the provider's answer, and begin a session."""
    provider = _provider(request)
    if provider is None:
        return RedirectResponse("/sign-in/", 303)
    name = SECURE_COOKIE if request.url.scheme == "https" else PLAIN_COOKIE
    try:
        login = Login.from_cookie(request.cookies.get(name, ""))
        token = await provider.id_token(login, request.query_params, _redirect_uri(request))
        session = await api_for(request).sign_in_by_id_token(token, login.nonce)
    except IssuerUnavailable as error:
        log.warning("identity_provider_unavailable", error=str(error))
        answer = sign_in_page(request, 503, back="/", error=AWAY)
    except LoginRefused as error:
        log.warning("login_refused", error=str(error))
        answer = sign_in_page(request, 401, back="/", error=NOT_LET_IN)
    except Refused as refused:
        answer = sign_in_page(request, refused.status, back="/", detail=str(refused))
    else:
        answer = begin_session(request, session, local_path(login.back))
    answer.delete_cookie(name, path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax")
    return answer


def _provider(request: Request) -> IdentityProvider | None:
    provider = request.app.state.identity_provider
    assert provider is None or isinstance(provider, IdentityProvider)
    return provider


def _redirect_uri(request: Request) -> str:
    """Return the address that the provider sends people back to; it must know it beforehand."""
    base = request.app.state.console_url or f"{request.url.scheme}://{request.url.netloc}"
    return f"{base}{RETURN}"


ROUTES = [
    Route("/sign-in/oidc/", leave, methods=["GET"]),
    Route(RETURN, arrive, methods=["GET"]),
]
