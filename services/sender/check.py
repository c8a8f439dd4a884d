"""Check of the provider, for `mailing check`."""

import httpx

from services.sender.adapter import Access, AdapterError
from services.sender.engine import Route, find_route
from services.sender.providers import load_adapter
from services.sender.settings import SenderSettings
from shared.errors import CheckFailed
from shared.settings import SettingsError, read

TIMEOUT = 5.0  # seconds


def check_provider() -> str:
    """Return what the provider answers, over the sender's own way to it. Only its base address is requested.

    Raises:
        CheckFailed: the adapter cannot be loaded, the provider does not answer, or it refuses the token.
    """
    try:
        settings = read(SenderSettings)
        route = find_route(settings)
        token = settings.provider_token.get_secret_value()
        load_adapter(settings.provider_adapter, Access(route.endpoint, token, settings.provider_file))
    except (SettingsError, AdapterError) as error:
        raise CheckFailed(*error.args) from None
    url = str(settings.provider_url)
    try:
        answer = _get(url, settings, route)
    except httpx.HTTPError as error:
        raise CheckFailed(f"no answer from {url}: {error}; check MAILING_PROVIDER_URL") from error
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise CheckFailed(f"{url} answers {answer.status_code}: check MAILING_PROVIDER_TOKEN")
    if answer.is_server_error:
        raise CheckFailed(f"{url} answers {answer.status_code}: the provider has a fault; messages will wait")
    return f"{url} answers {answer.status_code}"


def _get(url: str, settings: SenderSettings, route: Route) -> httpx.Response:
    headers = {"Authorization": f"Bearer {settings.provider_token.get_secret_value()}"}
    proxy = settings.provider_proxy.get_secret_value() if settings.provider_proxy else None
    with httpx.Client(verify=route.tls or True, proxy=proxy, timeout=TIMEOUT, trust_env=False) as client:
        return client.get(url, headers=headers)
