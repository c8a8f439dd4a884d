"""Tokens, roles, permissions and the delay of logins."""

from datetime import UTC, datetime, timedelta

import pytest

from services.api.access.permissions import PERMISSIONS, permission_of
from services.api.application import create_application
from shared.access.login_delay import FREE_FAILURES_OF_ACCOUNT, MAX_DELAY, Failures, keys_of, wait_until_allowed
from shared.access.passwords import MIN_LENGTH, hash_password, verify_password
from shared.access.roles import Role
from shared.access.tokens import TOKEN_LENGTH, digest_of, is_token, new_token

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def test_a_token_is_known_by_its_form_and_checksum() -> None:
    token = new_token()
    assert len(token) == TOKEN_LENGTH
    assert is_token(token)
    assert len({new_token() for _ in range(1_000)}) == 1_000
    assert len(digest_of(token)) == 32


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token + "a",
        lambda token: token[:-1] + ("a" if token[-1] != "a" else "b"),
        lambda token: "Mailing_" + token[8:],
        lambda token: token[:20] + "ж" + token[21:],
        lambda token: " " + token[1:],
        lambda _: "",
        lambda _: "a" * 10_000,
    ],
)
def test_a_changed_token_is_refused_without_a_look_at_the_database(change: object) -> None:
    assert callable(change)
    assert not is_token(change(new_token()))


def test_each_role_may_do_what_the_roles_before_it_may_do() -> None:
    allowed = {role: [required for required in Role if role.includes(required)] for role in Role}
    assert allowed == {
        Role.VIEWER: [Role.VIEWER],
        Role.OPERATOR: [Role.VIEWER, Role.OPERATOR],
        Role.ADMIN: [Role.VIEWER, Role.OPERATOR, Role.ADMIN],
    }


def test_every_operation_has_a_permission_and_no_other_has_one() -> None:
    paths = create_application().openapi()["paths"]
    operations = {(method.upper(), path) for path in paths if path.startswith("/api/") for method in paths[path]}
    assert operations == set(PERMISSIONS)


def test_a_path_without_parameters_comes_before_one_with_them() -> None:
    by_path = [permission_of("POST", path) for path in ("/api/client/import/", "/api/client/7/", "/api/nothing/")]
    assert [permission and permission.operation for permission in by_path] == ["client.import", None, None]
    shown = permission_of("GET", "/api/client/7/")
    assert shown is not None
    assert shown.operation == "client.show"


@pytest.mark.parametrize(
    ("failures", "wait"),
    [
        (FREE_FAILURES_OF_ACCOUNT - 1, timedelta(0)),
        (FREE_FAILURES_OF_ACCOUNT, timedelta(seconds=1)),
        (FREE_FAILURES_OF_ACCOUNT + 3, timedelta(seconds=8)),
        (10_000, MAX_DELAY),
    ],
)
def test_each_further_failure_doubles_the_wait(failures: int, wait: timedelta) -> None:
    [account] = keys_of("Anna", None)
    assert wait_until_allowed({account: Failures(failures, NOW)}, NOW) == wait
    assert wait_until_allowed({account: Failures(failures, NOW)}, NOW + wait) == timedelta(0)


def test_logins_at_the_same_instant_do_not_wait_for_each_other() -> None:
    later = {key: Failures(1, NOW + timedelta(milliseconds=50)) for key in keys_of("anna", "192.0.2.7")}
    assert wait_until_allowed(later, NOW) == timedelta(0)


def test_an_account_is_the_same_in_capital_letters() -> None:
    assert keys_of("ANNA", "192.0.2.7") == keys_of("anna", "192.0.2.7")


def test_a_short_password_is_refused() -> None:
    with pytest.raises(ValueError, match="12 to 256 characters"):
        hash_password("a" * (MIN_LENGTH - 1))


async def test_a_password_fits_its_own_hash_only() -> None:
    hashed = hash_password("correct horse battery staple")
    assert "correct" not in hashed
    assert await verify_password(hashed, "correct horse battery staple")
    assert not await verify_password(hashed, "correct horse battery stapler")
    assert not await verify_password(None, "nobody has this password")
