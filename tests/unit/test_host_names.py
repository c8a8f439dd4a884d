"""Host names under which API and console answer."""

import pytest

from shared.host_names import is_known_host, split_names

NAMES = split_names("Mailing.example.org, api")


@pytest.mark.parametrize(
    "given",
    [
        *("localhost", "localhost:8000", "LOCALHOST", "127.0.0.1", "10.1.2.3:80", "[::1]", "[::1]:8000"),
        *("mailing.example.org", "MAILING.example.org:443", "mailing.example.org.", "api:8000", None),
    ],
)
def test_a_name_of_its_own_and_every_address_is_known(given: str | None) -> None:
    assert isinstance(NAMES, frozenset)
    assert is_known_host(given, NAMES)


@pytest.mark.parametrize(
    "given",
    [
        *(
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "api.evil.example",
        ),
        *("", ":8000", "[", "[::1", "[evil.example]", "1.2.3", "api:8000@evil.example", "evil.example:api"),
    ],
)
def test_any_other_name_is_not_known_unless_all_are(given: str) -> None:
    assert isinstance(NAMES, frozenset)
    assert not is_known_host(given, NAMES)
    assert is_known_host(given, frozenset({"*"}))
