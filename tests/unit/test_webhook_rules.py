"""Webhooks: which addresses are allowed, how events are signed, and when a failed delivery is tried again."""

import time
from ipaddress import ip_network

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.notifier.webhooks.retrying import LONGEST_PAUSE, OFF_AFTER, pause_before_retry
from shared.webhook_addresses import check_url, is_allowed
from shared.webhook_secrets import as_text, new_secret, sign

EVENT, BODY = "6f1c2b9e-4f0e-4a6e-9f53-0f7a0a3d5c11", b'{"type": "mailing.started"}'


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"]
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(address, ())


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)  # fmt: skip
def test_an_address_of_the_inside_is_refused_unless_its_network_is_allowed(address: str) -> None:
    assert not is_allowed(address, ())
    assert is_allowed("10.1.2.3", (ip_network("10.1.2.0/24"),))
    assert not is_allowed("10.1.3.3", (ip_network("10.1.2.0/24"),))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/", "https://", "https://user:secret@example.org/", "https://example.org/#part",
        "http://127.0.0.1/", "https://[::1]:8000/", "http://localhost/", "http://db.internal/", "https://example.org:99999/",
        "https://exa mple.org/", "https://пример.рф/",
    ],
)  # fmt: skip
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|is no|leads"):
        check_url(url, ())


def test_a_url_may_name_an_address_of_an_allowed_network() -> None:
    assert check_url("http://127.0.0.1:8000/hook", (ip_network("127.0.0.0/8"),))
    assert check_url("https://example.org/hook?key=1", ())


def test_the_reference_library_accepts_our_signatures() -> None:
    secret = new_secret()
    headers = sign(EVENT, int(time.time()), BODY, [secret])
    Webhook(as_text(secret)).verify(BODY, headers)
    for change in ({"webhook-id": "other"}, {"webhook-timestamp": str(int(time.time()) + 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(as_text(secret)).verify(BODY, headers | change)
    with pytest.raises(WebhookVerificationError):
        Webhook(as_text(secret)).verify(BODY + b" ", headers)


def test_during_a_rotation_either_secret_verifies() -> None:
    old, new = new_secret(), new_secret()
    headers = sign(EVENT, int(time.time()), BODY, [new, old])
    for secret in (old, new):
        Webhook(as_text(secret)).verify(BODY, headers)


def test_pauses_grow_to_an_hour_and_follow_the_receiver_within_it() -> None:
    pauses = [pause_before_retry(tries, None, 0) for tries in range(1, 100)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    assert sum(pause < OFF_AFTER for pause in pauses) == len(pauses)
    assert pause_before_retry(1, 60, 0).total_seconds() == 60
    assert pause_before_retry(1, 10**6, 0) == LONGEST_PAUSE
    assert pause_before_retry(1, None, 1) > pause_before_retry(1, None, 0)
