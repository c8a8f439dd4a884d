"""Attacks on the login, and what stands in front of the API: origins, proxies and TLS."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import LogCapture

from deploy.local.ports import free_ports
from services.api.main import run_api
from services.api.settings import ApiSettings
from shared.access.login_delay import FREE_FAILURES_OF_ADDRESS, keys_of_address
from shared.cli.main import main
from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.ledger.login_failures import add_failure, lock_failures
from tests.integration.api_client import NOWHERE, api_on, eventually
from tests.tokens import bearer, create_api_token

PASSWORD = "correct horse battery staple"
BROKER = f"amqp://{NOWHERE}/"
FEW = 10
SHOP = "https://shop.example"


async def sign_in(api: httpx.AsyncClient, login: str, password: str) -> httpx.Response:
    return await api.post("/api/session/", json={"login": login, "password": password})


async def add_user(api: httpx.AsyncClient, login: str) -> None:
    body = {"login": login, "name": login, "role": "viewer", "password": PASSWORD}
    assert (await api.post("/api/user/", json=body)).status_code == 201


async def test_200_logins_at_once_try_few_passwords_and_leave_room_for_others(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    async with transaction(engine) as connection:  # most of the free tries are used up, which saves time
        await lock_failures(connection, keys := keys_of_address("127.0.0.1"), utc_now())
        for _ in range(FREE_FAILURES_OF_ADDRESS - FEW):
            await add_failure(connection, keys, utc_now())
    logins = [asyncio.create_task(sign_in(api, f"user-{n}", PASSWORD)) for n in range(200)]
    assert (await api.get("/api/client/")).status_code == 200
    statuses = [answer.status_code for answer in await asyncio.gather(*logins)]
    assert set(statuses) <= {401, 429, 503}
    # Each further try doubles the wait, so few more are tried, even if the hashes take long.
    assert statuses.count(401) <= FEW + 6


async def test_an_unknown_user_takes_as_long_as_a_wrong_password(api: httpx.AsyncClient) -> None:
    await add_user(api, "anna")
    took: dict[str, list[float]] = {"anna": [], "nobody": []}
    for _ in range(4):
        for login, times in took.items():
            began = time.perf_counter()
            assert (await sign_in(api, login, "a wrong password")).status_code == 401
            times.append(time.perf_counter() - began)
    known, unknown = min(took["anna"]), min(took["nobody"])
    assert unknown > known / 2  # a hash takes ten times as long as all the rest
    assert known > unknown / 2


async def test_logs_and_errors_name_no_password_and_no_token(
    api: httpx.AsyncClient, lines: LogCapture, database_url: str
) -> None:
    await add_user(api, "anna")
    token = (await api.post("/api/token/", json={"name": "shop", "role": "viewer"})).json()["token"]
    session = (await sign_in(api, "anna", PASSWORD)).json()["token"]
    wrong = "wrong horse battery staple"
    answers = [
        await sign_in(api, "anna", wrong),
        await sign_in(api, "anna", wrong * 20),
        await api.post("/api/user/", json={"login": "b", "name": "b", "role": "no role", "password": wrong}),
        await api.patch("/api/me/", json={"password": wrong, "x": 1}, headers=bearer(session)),
        await api.get("/api/client/", headers=bearer(token + "x")),
        await api.post("/api/session/link/", json={"link": token}),
        await api.get(f"/api/client/{token}/"),
        await api.get("/api/audit/"),
    ]
    said = "".join(answer.text for answer in answers) + str(lines.entries)
    for secret in (PASSWORD, wrong, token, session):
        assert secret not in said


def test_no_command_takes_a_secret_that_a_process_list_shows(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("user", "token"):
        for arguments in ([command, "create", "--help"], [command, "--help"]):
            with pytest.raises(SystemExit):
                main(arguments)
    helped = capsys.readouterr().out
    assert "--password-stdin" in helped
    assert "--password " not in helped


async def test_open_access_is_said_in_the_log_and_in_readiness(database_url: str, lines: LogCapture) -> None:
    async with api_on(database_url, BROKER, access="open") as api:
        assert (await api.get("/readyz")).json()["access"] == "open"
        assert (await api.get("/api/client/")).status_code == 200
    assert [line["log_level"] for line in lines.entries if line["event"] == "access_opened"] == ["warning"]


async def preflight(api: httpx.AsyncClient, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return await api.options("/api/client/", headers=headers)


async def test_cors_answers_the_configured_site_and_no_other(database_url: str, clean_database: None) -> None:
    client = {"number": "79057003050", "tag": "#x", "zone": "Europe/Moscow"}
    async with api_on(database_url, BROKER, changes={"api_origins": {SHOP}}) as api:
        allowed = await preflight(api, SHOP)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, SHOP)
        assert "access-control-allow-credentials" not in allowed.headers
        for origin in ("https://evil.example", "https://shop.example.evil.example", "null"):
            assert "access-control-allow-origin" not in (await preflight(api, origin)).headers
        headers = {"Origin": SHOP, "Sec-Fetch-Site": "cross-site"}
        created = await api.post("/api/client/", json=client, headers=headers)
        assert (created.status_code, created.headers["access-control-allow-origin"]) == (201, SHOP)
    async with api_on(database_url, BROKER) as api:
        assert "access-control-allow-origin" not in (await preflight(api, SHOP)).headers


@asynccontextmanager
async def serving(database_url: str, **changes: object) -> AsyncIterator[ApiSettings]:
    """Run the API with its server."""
    (port,) = free_ports(1)
    settings = ApiSettings.model_validate(
        {"database_url": SecretStr(database_url), "broker_url": SecretStr(BROKER), "api_port": port, **changes}
    )
    stopping = asyncio.Event()
    running = asyncio.create_task(run_api(settings, stopping))
    try:
        yield settings
    finally:
        stopping.set()
        await running


@pytest.mark.parametrize(
    ("trusted", "address"), [("127.0.0.0/8", "192.0.2.7"), ("10.0.0.0/8", "127.0.0.1")], ids=["trusted", "other"]
)
async def test_a_forwarded_address_counts_from_a_trusted_proxy_only_also_over_tls(
    database_url: str, clean_database: None, tmp_path: Path, trusted: str, address: str
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    headers = bearer(await create_api_token(database_url))
    changes = {"trusted_proxies": trusted, "api_tls_certificate": chain, "api_tls_key": key}
    async with (
        serving(database_url, **changes) as settings,
        httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{settings.api_port}", verify=context, headers=headers, trust_env=False
        ) as api,
    ):

        async def is_up() -> bool | None:
            try:
                return (await api.get("/healthz")).status_code == 200 or None
            except httpx.TransportError:
                return None

        await eventually(is_up)
        forwarded = {"X-Forwarded-For": "198.51.100.1, 192.0.2.7"}
        body = {"name": "shop", "role": "viewer"}
        assert (await api.post("/api/token/", json=body, headers=forwarded)).status_code == 201
        [entry, *_] = (await api.get("/api/audit/?operation=token.create")).json()["items"]
    assert entry["address"] == address
