"""Access: nobody reads or changes anything without a token that allows it, and every change has an author."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.access.authentication import MAX_AGE
from services.api.access.permissions import PERMISSIONS
from services.api.application import create_application
from services.planner.reaping import AUDIT_KEPT, ReapRound, forget
from services.planner.settings import PlannerSettings
from shared.access.login_delay import FREE_FAILURES_OF_ADDRESS, keys_of_address
from shared.access.roles import Role
from shared.access.tokens import new_token
from shared.cli import user
from shared.cli.database import in_transaction
from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.ledger.login_failures import add_failure, lock_failures
from shared.ledger.users import NewUser
from tests.integration.api_client import NOWHERE, api_on, eventually
from tests.tokens import bearer, create_api_token

PASSWORD = "correct horse battery staple"
CLIENT = {"number": "79057003050", "tag": "#x", "zone": "Europe/Moscow"}
OPERATIONS = sorted(PERMISSIONS)


@pytest.fixture
async def nobody(api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same API without a token."""
    async with httpx.AsyncClient(transport=api._transport, base_url="http://api") as client:
        yield client


def path_of(template: str) -> str:
    return (
        template.replace("{client_id}", "1")
        .replace("{mailing_id}", "1")
        .replace("{message_id}", "1")
        .replace("{user_id}", "1")
        .replace("{token_id}", "999999")
    )


async def add_user(
    api: httpx.AsyncClient, login: str, role: Role = Role.OPERATOR, password: str = PASSWORD
) -> int:
    answer = await api.post("/api/user/", json={"login": login, "name": login, "role": role, "password": password})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def sign_in(client: httpx.AsyncClient, login: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/session/", json={"login": login, "password": password})


async def test_no_operation_is_open_without_a_token(nobody: httpx.AsyncClient) -> None:
    for method, template in OPERATIONS:
        answer = await nobody.request(method, path_of(template), json={})
        expected = {401} if PERMISSIONS[method, template].role else {409, 422}
        assert answer.status_code in expected, (method, template, answer.text)
    assert (await nobody.get("/api/nothing/")).status_code == 401
    assert (await nobody.get("/healthz")).status_code == 200


@pytest.mark.parametrize("role", list(Role))
async def test_every_role_may_do_what_the_table_says(
    nobody: httpx.AsyncClient, database_url: str, role: Role
) -> None:
    headers = bearer(await create_api_token(database_url, role, f"as {role}"))
    for method, template in OPERATIONS:
        if template.startswith("/api/session/"):
            continue
        required = PERMISSIONS[method, template].role
        assert required is not None
        answer = await nobody.request(method, path_of(template), json={}, headers=headers)
        is_forbidden = answer.status_code == 403
        assert is_forbidden is not role.includes(required), (method, template, answer.text)
        assert answer.status_code not in {401, 500}, (method, template, answer.text)


def test_the_document_shows_the_role_of_every_operation() -> None:
    document = create_application().openapi()
    for (method, path), permission in PERMISSIONS.items():
        operation = document["paths"][path][method.lower()]
        if permission.role is None:
            assert "security" not in operation
        else:
            assert operation["security"] == [{"token": [permission.role.value]}]
            assert {"401", "403"} <= operation["responses"].keys()


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer " + "a" * 10_000,
        "Bearer mailing_",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
    ],
)
async def test_a_wrong_token_is_refused(nobody: httpx.AsyncClient, header: str) -> None:
    answer = await nobody.get("/api/client/", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_token_that_was_never_created_is_refused(nobody: httpx.AsyncClient) -> None:
    assert (await nobody.get("/api/client/", headers=bearer(new_token()))).status_code == 401


async def test_a_body_is_not_read_without_a_token(nobody: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = await nobody.post("/api/client/import/", content=endless(), headers={"Content-Type": "text/csv"})
    assert answer.status_code == 401


async def test_a_revoked_token_stops_working_at_once_here_and_soon_elsewhere(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient, database_url: str
) -> None:
    created = (await api.post("/api/token/", json={"name": "shop", "role": "viewer"})).json()
    headers = bearer(created["token"])
    async with api_on(database_url, f"amqp://{NOWHERE}/") as other:
        assert (await other.get("/api/client/", headers=headers)).status_code == 200
        assert (await nobody.get("/api/client/", headers=headers)).status_code == 200
        assert (await api.delete(f"/api/token/{created['id']}/")).status_code == 204
        assert (await nobody.get("/api/client/", headers=headers)).status_code == 401

        async def is_refused() -> bool | None:
            return (await other.get("/api/client/", headers=headers)).status_code == 401 or None

        await eventually(is_refused, patience=MAX_AGE + 1)
    [listed] = [item for item in (await api.get("/api/token/")).json()["items"] if item["id"] == created["id"]]
    assert listed["hint"] == created["token"][-4:]
    assert listed["revoked_at"] is not None
    assert created["token"] not in str(listed)


async def test_a_viewer_sees_masked_numbers(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient, database_url: str
) -> None:
    await api.post("/api/client/", json=CLIENT)
    headers = bearer(await create_api_token(database_url, Role.VIEWER))
    answer = await nobody.get("/api/client/1/", headers=headers)
    assert answer.json()["number"] == "7905*****50"
    assert (await api.get("/api/client/1/")).json()["number"] == 79057003050
    for path in ("/api/client/", "/api/message/?number=79057003050"):
        assert "79057003050" not in (await nobody.get(path, headers=headers)).text


async def test_a_user_signs_in_and_out(api: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    await add_user(api, "anna", Role.OPERATOR)
    assert (await sign_in(nobody, "anna", "wrong password")).status_code == 401
    session = (await sign_in(nobody, "ANNA")).json()
    assert session["failed_logins"] == 1
    headers = bearer(session["token"])
    me = (await nobody.get("/api/me/", headers=headers)).json()
    assert (me["actor"], me["role"], me["user"]["login"]) == ("anna", "operator", "anna")
    assert (await nobody.delete("/api/session/", headers=headers)).status_code == 204
    assert (await nobody.get("/api/me/", headers=headers)).status_code == 401


async def test_an_unknown_user_is_answered_as_a_wrong_password(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    await add_user(api, "anna")
    wrong, unknown = await sign_in(nobody, "anna", "wrong password"), await sign_in(nobody, "boris")
    assert (wrong.status_code, wrong.json()["detail"]) == (unknown.status_code, unknown.json()["detail"])


async def test_failed_logins_are_slowed_down_for_the_account(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    await add_user(api, "anna")
    statuses = [(await sign_in(nobody, "anna", f"wrong password {n}")).status_code for n in range(6)]
    assert statuses[:5] == [401] * 5
    assert statuses[5] == 429
    refused = await sign_in(nobody, "anna")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1


async def test_many_logins_at_once_cannot_try_many_passwords(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    await add_user(api, "anna")
    answers = await asyncio.gather(*(sign_in(nobody, "anna", f"wrong password {n}") for n in range(30)))
    tried = [answer.status_code for answer in answers].count(401)
    assert tried <= 5, [answer.status_code for answer in answers]


async def test_logins_that_succeed_do_not_slow_down_others_from_the_address(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await add_user(api, "anna")
    async with transaction(engine) as connection:
        await lock_failures(connection, keys := keys_of_address("127.0.0.1"), utc_now())
        for _ in range(FREE_FAILURES_OF_ADDRESS - 1):
            await add_failure(connection, keys, utc_now())
    answers = [await sign_in(nobody, "anna") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}


async def test_a_disabled_user_is_signed_out_and_cannot_sign_in(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    user_id = await add_user(api, "anna")
    headers = bearer((await sign_in(nobody, "anna")).json()["token"])
    assert (await api.patch(f"/api/user/{user_id}/", json={"disabled": True})).status_code == 200
    assert (await nobody.get("/api/me/", headers=headers)).status_code == 401
    assert (await sign_in(nobody, "anna")).status_code == 401


async def test_a_lowered_role_takes_effect_in_an_open_session(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    user_id = await add_user(api, "anna")
    headers = bearer((await sign_in(nobody, "anna")).json()["token"])
    assert (await nobody.post("/api/client/", json=CLIENT, headers=headers)).status_code == 201
    await api.patch(f"/api/user/{user_id}/", json={"role": "viewer"})
    assert (await nobody.delete("/api/client/1/", headers=headers)).status_code == 403


async def test_two_admins_cannot_remove_each_other(api: httpx.AsyncClient) -> None:
    ids = [await add_user(api, login, Role.ADMIN) for login in ("anna", "boris")]
    answers = await asyncio.gather(
        *(api.patch(f"/api/user/{user_id}/", json={"disabled": True}) for user_id in ids)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_new_password_ends_all_sessions(api: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    await add_user(api, "anna")
    headers = bearer((await sign_in(nobody, "anna")).json()["token"])
    new = {"password": "another battery staple", "present_password": "wrong"}
    assert (await nobody.patch("/api/me/", json=new, headers=headers)).status_code == 401
    new["present_password"] = PASSWORD
    assert (await nobody.patch("/api/me/", json=new, headers=headers)).status_code == 200
    assert (await nobody.get("/api/me/", headers=headers)).status_code == 401
    assert (await sign_in(nobody, "anna", "another battery staple")).status_code == 201


async def test_a_link_signs_in_once(nobody: httpx.AsyncClient, database_url: str) -> None:
    url = SecretStr(database_url)
    await in_transaction(url, partial(user.create, new=NewUser("admin", "admin", Role.ADMIN)))
    link = (await in_transaction(url, partial(user.make_link, login="admin"))).secret
    assert (await nobody.get("/api/me/", headers=bearer(link))).status_code == 401, "a link is no session"
    answers = await asyncio.gather(*(nobody.post("/api/session/link/", json={"link": link}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401, 401, 401]


async def test_every_change_has_an_author_in_the_audit(api: httpx.AsyncClient) -> None:
    await api.post("/api/client/", json=CLIENT, headers={"X-Request-ID": "first"})
    await api.patch("/api/client/1/", json={"tag": "#y"})
    await api.delete("/api/client/1/")
    entries = (await api.get("/api/audit/?noun=client&noun_id=1")).json()["items"]
    assert [entry["operation"] for entry in entries] == ["client.delete", "client.change", "client.create"]
    deleted, changed, created = entries
    assert created["request_id"] == "first"
    assert created["actor"] == "test"
    assert (created["before"], created["after"]["number"]) == (None, "7905*****50")
    assert (changed["before"]["tag"], changed["after"]["tag"]) == ("#x", "#y")
    assert deleted["after"] is None
    assert "79057003050" not in str(entries)


async def test_old_entries_sessions_and_failures_are_removed(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient, database_url: str, engine: AsyncEngine
) -> None:
    await add_user(api, "anna")
    await sign_in(nobody, "anna", "wrong password")
    await sign_in(nobody, "anna")
    settings = PlannerSettings(database_url=SecretStr(database_url), broker_url=SecretStr(f"amqp://{NOWHERE}/"))
    later = utc_now() + timedelta(days=30)
    await forget(ReapRound(engine, settings, later))
    async with transaction(engine) as connection:
        kinds = (await connection.execute(text("SELECT kind FROM tokens"))).scalars().all()
        failures = (await connection.execute(text("SELECT count(*) FROM login_failures"))).scalar_one()
    assert set(kinds) == {"api"}
    assert failures == 0
    assert (await api.get("/api/audit/?operation=user.create")).json()["items"]
    await forget(ReapRound(engine, settings, later + AUDIT_KEPT))
    assert (await api.get("/api/audit/")).json()["items"] == []


async def test_a_refused_attempt_is_in_the_audit(
    api: httpx.AsyncClient, nobody: httpx.AsyncClient, database_url: str
) -> None:
    headers = bearer(await create_api_token(database_url, Role.VIEWER, "curious"))
    await nobody.post("/api/client/", json=CLIENT, headers=headers)
    [entry] = (await api.get("/api/audit/?actor=curious")).json()["items"]
    assert (entry["operation"], entry["refused"]) == ("client.create", True)


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({"Origin": "https://evil.example"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://api"}, False),
        ({"Origin": "http://api"}, False),
        ({}, False),
    ],
)
async def test_a_page_of_another_site_changes_nothing(
    api: httpx.AsyncClient, headers: dict[str, str], is_refused: bool
) -> None:
    answer = await api.post("/api/client/", json=CLIENT, headers=headers)
    assert answer.status_code == (403 if is_refused else 201)
