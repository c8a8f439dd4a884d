"""Sign-in by an identity provider: a token gets in if it proves who sent it, and in no other case."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx
import pytest
from joserfc.jwk import RSAKey

from services.api.access.oidc.claims import MAX_AGE, SKEW
from services.api.access.oidc.keys import REFETCH_AFTER, USABLE, Keys
from shared.access.roles import Role
from shared.contracts import utc_now
from shared.issuer import Issuer, IssuerUnavailable, open_http
from tests.integration.api_client import NOWHERE, api_on
from tests.integration.issuer import AUDIENCE, CLIENT_ID, NONCE, ForgingIssuer, forging_issuer
from tests.tokens import bearer

ROLES = {"mailing-operators": Role.OPERATOR, "mailing-admins": Role.ADMIN}
Forge = Callable[[ForgingIssuer], str]


@pytest.fixture
async def issuer() -> AsyncIterator[ForgingIssuer]:
    async with forging_issuer() as running:
        yield running


@pytest.fixture
async def api(database_url: str, clean_database: None, issuer: ForgingIssuer) -> AsyncIterator[httpx.AsyncClient]:
    changes = {
        "oidc_issuer": issuer.url,
        "oidc_client_id": CLIENT_ID,
        "oidc_audience": AUDIENCE,
        "oidc_roles": ROLES,
        "oidc_create_users": True,
    }
    async with api_on(database_url, f"amqp://{NOWHERE}/", changes=changes) as client:
        yield client


async def sign_in(api: httpx.AsyncClient, token: str, nonce: str = NONCE) -> httpx.Response:
    return await api.post("/api/session/oidc/", json={"id_token": token, "nonce": nonce})


def seconds_ago(seconds: float) -> float:
    return (utc_now() - timedelta(seconds=seconds)).timestamp()


def with_changed_claims(issuer: ForgingIssuer) -> str:
    header, _, signature = issuer.id_token().split(".")
    _, claims, _ = issuer.id_token(groups=["mailing-admins"]).split(".")
    return f"{header}.{claims}.{signature}"


async def test_a_person_signs_in_at_first_and_gets_the_role_of_the_groups(
    api: httpx.AsyncClient, issuer: ForgingIssuer
) -> None:
    answer = await sign_in(api, issuer.id_token())
    assert answer.status_code == 201, answer.text
    user = answer.json()["user"]
    assert (user["login"], user["name"], user["role"]) == ("anna", "Anna Ivanova", "operator")
    me = await api.get("/api/me/", headers=bearer(answer.json()["token"]))
    assert me.json()["actor"] == "anna"
    other = issuer.id_token(nonce="b" * 20, groups=["mailing-admins", "mailing-operators"], name="New name")
    again = (await sign_in(api, other, "b" * 20)).json()["user"]
    assert (again["id"], again["role"]) == (user["id"], "admin")
    lost = await sign_in(api, issuer.id_token(nonce="c" * 20, groups=["staff"]), "c" * 20)
    assert lost.status_code == 401
    entries = (await api.get("/api/audit/?operation=session.create")).json()["items"]
    assert [entry["refused"] for entry in entries] == [True, False, False, False, False]
    assert {"role": "operator"} in [entry["before"] for entry in entries]


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (ForgingIssuer.unsigned, "algorithm"),
        (ForgingIssuer.signed_with_the_public_key, "algorithm"),
        (with_changed_claims, "signature"),
        (lambda issuer: issuer.sign(issuer.claims(), RSAKey.generate_key(2048, {"kid": "first"})), "signature"),
        (lambda issuer: issuer.sign(issuer.claims(), RSAKey.generate_key(2048, {"kid": "other"})), "unknown key"),
        (lambda issuer: issuer.id_token(aud="another application"), "audience"),
        (lambda issuer: issuer.id_token(aud=AUDIENCE), "audience"),
        (lambda issuer: issuer.id_token(aud=None), "audience"),
        (lambda issuer: issuer.id_token(aud=[CLIENT_ID, "another"]), "azp"),
        (lambda issuer: issuer.id_token(azp="another"), "azp"),
        (lambda issuer: issuer.id_token(iss="https://evil.example"), "issuer"),
        (lambda issuer: issuer.id_token(nonce="another nonce"), "nonce"),
        (lambda issuer: issuer.id_token(nonce=None), "nonce"),
        (lambda issuer: issuer.id_token(sub=None), "whose"),
        (lambda issuer: issuer.id_token(sub="a" * 256), "whose"),
        (lambda issuer: issuer.id_token(exp=seconds_ago(SKEW.total_seconds() + 2)), "expired"),
        (lambda issuer: issuer.id_token(exp=float("nan")), "no valid time in exp"),
        (lambda issuer: issuer.id_token(exp="tomorrow"), "no valid time in exp"),
        (lambda issuer: issuer.id_token(exp=None), "no valid time in exp"),
        (lambda issuer: issuer.id_token(iat=seconds_ago(-SKEW.total_seconds() - 30)), "future"),
        (lambda issuer: issuer.id_token(iat=seconds_ago((MAX_AGE + SKEW).total_seconds() + 2)), "too old"),
        (lambda issuer: issuer.id_token(nbf=seconds_ago(-SKEW.total_seconds() - 30)), "not valid yet"),
        (lambda issuer: issuer.id_token(preferred_username="x", groups=["staff"]), "groups"),
        (lambda _: "mailing_no.token.of", "not a signed token"),
        (lambda _: "a.b.c" + "ж", "not a signed token"),
        (lambda _: "e30.e30.e30", "not a signed token"),
        (lambda _: "W10.e30.e30", "signed token"),
    ],
)
async def test_a_forged_token_is_refused(
    api: httpx.AsyncClient, issuer: ForgingIssuer, forge: Forge, reason: str
) -> None:
    answer = await sign_in(api, forge(issuer))
    assert answer.status_code == 401, answer.text
    assert reason in answer.json()["detail"]
    assert (await api.get("/api/user/")).json()["items"] == []
    assert (await api.get("/api/audit/")).json()["items"][0]["refused"]


async def test_clocks_may_differ_by_a_minute(api: httpx.AsyncClient, issuer: ForgingIssuer) -> None:
    skew = SKEW.total_seconds() - 20
    late = issuer.id_token(exp=seconds_ago(skew), iat=seconds_ago(300), nbf=seconds_ago(300))
    assert (await sign_in(api, late)).status_code == 201
    early = issuer.id_token(iat=seconds_ago(-skew), nbf=seconds_ago(-skew), nonce="b" * 20)
    assert (await sign_in(api, early, "b" * 20)).status_code == 201


async def test_a_token_signs_in_once_however_often_it_is_sent(
    api: httpx.AsyncClient, issuer: ForgingIssuer
) -> None:
    token = issuer.id_token()
    answers = await asyncio.gather(*(sign_in(api, token) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401, 401, 401]
    assert len((await api.get("/api/user/")).json()["items"]) == 1


async def test_a_disabled_user_does_not_get_in(api: httpx.AsyncClient, issuer: ForgingIssuer) -> None:
    user_id = (await sign_in(api, issuer.id_token())).json()["user"]["id"]
    await api.patch(f"/api/user/{user_id}/", json={"disabled": True})
    assert (await sign_in(api, issuer.id_token(nonce="b" * 20), "b" * 20)).status_code == 401
    machine = issuer.sign(issuer.claims(aud=AUDIENCE, nonce=None))
    assert (await api.get("/api/client/", headers=bearer(machine))).status_code == 401


async def test_only_a_verified_address_links_a_user_who_was_made_before(
    api: httpx.AsyncClient, issuer: ForgingIssuer
) -> None:
    body = {"login": "vera@example.org", "name": "Vera", "role": "viewer"}
    made = (await api.post("/api/user/", json=body)).json()["id"]
    claims = {"email": "vera@example.org", "preferred_username": "vera@example.org", "sub": "vera"}
    unverified = await sign_in(api, issuer.id_token(**claims))
    assert unverified.status_code == 401
    assert "Another user has your login" in unverified.json()["detail"]
    verified = await sign_in(api, issuer.id_token(**claims, email_verified=True))
    assert verified.json()["user"]["id"] == made
    stranger = claims | {"sub": "stranger", "nonce": "b" * 20}
    assert (await sign_in(api, issuer.id_token(**stranger, email_verified=True), "b" * 20)).status_code == 401


async def test_a_program_sends_an_access_token_of_the_issuer(
    api: httpx.AsyncClient, issuer: ForgingIssuer
) -> None:
    claims = issuer.claims(aud=[AUDIENCE, "account"], nonce=None, azp="shop", sub="service-account-shop")
    headers = bearer(issuer.sign(claims))
    body = {"number": "79057003050", "tag": "#x", "zone": "Europe/Moscow"}
    assert (await api.post("/api/client/", json=body, headers=headers)).status_code == 201
    assert (await api.get("/api/token/", headers=headers)).status_code == 403
    assert (await api.get("/api/audit/?operation=client.create")).json()["items"][0]["actor"] == "oidc:shop"
    for wrong in (
        issuer.sign(claims | {"aud": "another"}),
        issuer.sign(claims | {"groups": []}),
        issuer.sign(claims | {"exp": seconds_ago(120)}),
        issuer.id_token(aud=[AUDIENCE, CLIENT_ID]),
        issuer.id_token(),
        issuer.unsigned(),
    ):
        assert (await api.get("/api/client/", headers=bearer(wrong))).status_code == 401


async def test_keys_that_rotate_are_fetched_at_once_but_not_for_every_unknown_key(issuer: ForgingIssuer) -> None:
    now = 1_000.0
    async with open_http() as http:
        keys = Keys(Issuer(issuer.url, http, lambda: now), lambda: now)
        assert await keys.find("first") is not None
        now += REFETCH_AFTER
        issuer.rotate("second")
        assert await keys.find("second") is not None
        assert await keys.find("first") is None, "a key that is published no more is not trusted"
        fetched = issuer.fetches
        assert [await keys.find(f"unknown {n}") for n in range(50)] == [None] * 50
        assert issuer.fetches == fetched


async def test_known_keys_outlive_an_issuer_that_is_away_for_a_while(issuer: ForgingIssuer) -> None:
    now = 1_000.0
    async with open_http() as http:
        keys = Keys(Issuer(issuer.url, http, lambda: now), lambda: now)
        assert await keys.find("first") is not None
        issuer.is_away = True
        now += USABLE - 1
        assert await keys.find("first") is not None
        now += REFETCH_AFTER
        with pytest.raises(IssuerUnavailable):
            await keys.find("first")
        issuer.is_away = False
        now += REFETCH_AFTER
        assert await keys.find("first") is not None


async def test_an_issuer_that_is_away_from_the_start_is_answered_503(
    api: httpx.AsyncClient, issuer: ForgingIssuer
) -> None:
    issuer.is_away = True
    answer = await sign_in(api, issuer.id_token())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert issuer.url not in answer.text


async def test_without_a_provider_nobody_signs_in_by_one(database_url: str, clean_database: None) -> None:
    async with api_on(database_url, f"amqp://{NOWHERE}/") as api:
        answer = await sign_in(api, "a.b.c")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:mailing:problem:no-identity-provider")
