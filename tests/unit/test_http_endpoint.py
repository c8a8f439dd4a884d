"""The provider's address, and which of its host's addresses are tried."""

import pytest

from services.sender.http.addresses import FRESH_FOR, SHUN_FOR, AddressBook
from services.sender.http.backoff import LONGEST, pause_after
from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import RequestHead


@pytest.mark.parametrize(
    ("url", "endpoint", "authority"),
    [
        ("http://example.org", Endpoint("http", "example.org", 80, ""), "example.org"),
        ("https://example.org/a/b/", Endpoint("https", "example.org", 443, "/a/b"), "example.org"),
        ("https://example.org:444", Endpoint("https", "example.org", 444, ""), "example.org:444"),
        ("http://[::1]:80/", Endpoint("http", "::1", 80, ""), "[::1]"),
        ("http://пример.рф", Endpoint("http", "xn--e1afmkfd.xn--p1ai", 80, ""), "xn--e1afmkfd.xn--p1ai"),
    ],
)
def test_a_url_is_taken_apart(url: str, endpoint: Endpoint, authority: str) -> None:
    assert Endpoint.parse(url) == endpoint
    assert endpoint.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "example.org",
        "ftp://example.org",
        "http://",
        "http://user@example.org",
        "http://:word@example.org",
        "http://example.org/?a=b",
        "http://example.org/#a",
        "http://example.org:99999",
    ],
)
def test_a_url_that_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - ports are refused by the standard library
        Endpoint.parse(url)


def test_headers_are_rendered_with_the_host() -> None:
    head = RequestHead("POST", (("Authorization", "Bearer x"),))
    rendered = Endpoint.parse("http://example.org:81").render_headers(head)
    assert rendered == b"Host: example.org:81\r\nAuthorization: Bearer x\r\n"


@pytest.mark.parametrize("field", [("X\n", "y"), ("X", "y\r\nZ: 1"), ("X", "\0")])
def test_a_header_cannot_smuggle_another(field: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="line break"):
        Endpoint.parse("http://example.org").render_headers(RequestHead("POST", (field,)))


def test_connections_spread_over_the_addresses() -> None:
    book = AddressBook()
    book.fill(["a", "b", "b", "c"], now=0)
    assert [book.order(0) for _ in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_an_address_that_failed_is_tried_last_for_a_while() -> None:
    book = AddressBook()
    book.fill(["a", "b"], now=0)
    book.mark_failed("a", now=1)
    assert [book.order(2)[0] for _ in range(4)] == ["b"] * 4
    assert {book.order(1 + SHUN_FOR)[0] for _ in range(2)} == {"a", "b"}
    book.mark_failed("a", now=100)
    book.mark_reached("a")
    assert {book.order(101)[0] for _ in range(2)} == {"a", "b"}


def test_a_name_is_looked_up_again_after_a_while() -> None:
    book = AddressBook()
    assert book.is_empty
    assert not book.is_fresh(0)
    book.fill(["a"], now=5)
    assert book.is_fresh(5 + FRESH_FOR - 0.1)
    assert not book.is_fresh(5 + FRESH_FOR)


def test_pauses_between_attempts_to_connect_grow_up_to_a_limit() -> None:
    longest = [pause_after(failures, 0.999) for failures in (1, 2, 3, 10, 1000)]
    assert longest == sorted(longest)
    assert LONGEST * 0.99 < longest[-1] <= LONGEST
    assert pause_after(3, 0.0) >= pause_after(3, 0.999) / 2
