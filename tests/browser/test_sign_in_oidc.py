"""Signing in by a certified identity provider, in a real browser."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from deploy.local.ports import free_ports
from services.console.oidc import RETURN
from services.console.pages.sign_in_oidc import PLAIN_COOKIE
from tests.browser.browsing import Faults, accessibility_problems, visiting
from tests.browser.identity_provider import CLIENT_ID, CLIENT_SECRET, RunningProvider, running_identity_provider
from tests.e2e.system import System, until
from tests.servers import Servers
from tests.tokens import bearer


@dataclass(frozen=True, slots=True)
class Company:
    """A console whose people have accounts at an identity provider."""

    system: System
    url: str
    provider: RunningProvider
    logs: Path


@dataclass(frozen=True, slots=True)
class NoProvider:
    """Nobody sends messages here."""

    url: str = "http://127.0.0.1:1"
    token: str = "none"


@pytest.fixture(scope="module")
async def company(
    database_url: str, broker_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Company]:
    logs = tmp_path_factory.mktemp("company")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    async with running_identity_provider(url + RETURN, logs / "identity-provider.log") as provider:
        oidc = {
            "MAILING_OIDC_ISSUER": provider.url,
            "MAILING_OIDC_CLIENT_ID": CLIENT_ID,
            "MAILING_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "MAILING_OIDC_NAME": "Example ID",
            "MAILING_OIDC_ROLES": "mailing-operators=operator",
            "MAILING_OIDC_CREATE_USERS": "true",
            "MAILING_OIDC_AUDIENCE": "mailing-api",
            "MAILING_CONSOLE_PORT": str(port),
        }
        system = System(Servers(database_url, broker_url), NoProvider(), logs, oidc)
        try:
            await system.start("api")
            await system.start("console", environment={"MAILING_API_URL": str(system.api.base_url).rstrip("/")})
            await until(system.is_ready, timeout=30, what="the API is ready")
            await until(lambda: is_up(url), timeout=30, what="the console is ready")
            yield Company(system, url, provider, logs)
        finally:
            await system.close()


async def is_up(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            return (await http.get(f"{url}/readyz")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


async def sign_in_at_the_provider(page: Page, login: str) -> None:
    await page.get_by_role("link", name="Sign in with Example ID").click()
    await page.locator("input[name=login]").fill(login)
    await page.locator("input[name=password]").fill("any")
    await page.get_by_role("button", name="Sign-in").click()
    await page.get_by_role("button", name="Continue").click()


async def test_a_person_signs_in_at_the_provider_and_returns_to_the_page(
    browser: Browser, company: Company, faults: Faults
) -> None:
    async with visiting(browser, company.url, None, faults) as context:
        page = await context.new_page()
        await page.goto("/clients/?tag=%23vip")
        assert not await accessibility_problems(page)
        await sign_in_at_the_provider(page, "anna")
        await expect(page).to_have_url(f"{company.url}/clients/?tag=%23vip")
        await expect(page.locator("h1")).to_have_text("Clients")
        assert PLAIN_COOKIE not in [cookie["name"] for cookie in await context.cookies()]
    [entry] = (await company.system.api.get("/api/audit/?actor=anna&operation=session.create&limit=1")).json()[
        "items"
    ]
    assert not entry["refused"]
    assert not faults.policy


async def test_a_person_without_a_group_is_told_why_and_gets_no_session(
    browser: Browser, company: Company, faults: Faults
) -> None:
    async with visiting(browser, company.url, None, faults) as context:
        page = await context.new_page()
        await page.goto("/sign-in/")
        await sign_in_at_the_provider(page, "olga")
        await expect(page.get_by_role("alert")).to_contain_text("None of your groups has a role here")
        assert "session" not in [cookie["name"] for cookie in await context.cookies()]


async def test_the_provider_is_asked_with_pkce_and_an_answer_to_another_login_is_refused(company: Company) -> None:
    async with httpx.AsyncClient(base_url=company.url, trust_env=False) as http:
        leaving = await http.get("/sign-in/oidc/", params={"back": "//evil.example/"})
        query = parse_qs(urlsplit(leaving.headers["location"]).query)
        assert query["code_challenge_method"] == ["S256"]
        assert re.fullmatch(r"[\w-]{43}", query["code_challenge"][0])
        cookie = leaving.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        for answer in (
            {"state": "another", "code": "stolen"},
            {"state": query["state"][0], "code": "guessed"},
            {"state": query["state"][0], "error": "access_denied"},
            {"state": query["state"][0], "code": "mixed up", "iss": "https://evil.example"},
            {},
        ):
            http.cookies.set(PLAIN_COOKIE, leaving.cookies[PLAIN_COOKIE])
            arriving = await http.get(RETURN, params=answer)
            assert arriving.status_code == 401
            assert "The identity provider did not let you in" in arriving.text
            assert not {"session", "__Host-session"} & set(arriving.cookies)


async def test_a_program_of_the_provider_uses_the_api(company: Company) -> None:
    headers = bearer(await company.provider.access_token())
    async with httpx.AsyncClient(base_url=company.system.api.base_url, trust_env=False) as http:
        me = (await http.get("/api/me/", headers=headers)).json()
    assert (me["actor"], me["role"], me["user"]) == ("oidc:shop", "operator", None)


def test_the_logs_name_no_secret_of_a_login(company: Company) -> None:
    logs = "".join((company.logs / f"{service}.log").read_text() for service in ("api", "console"))
    assert "page_answered" in logs
    for secret in (CLIENT_SECRET, "eyJ", "code_verifier", "id_token"):
        assert secret not in logs
