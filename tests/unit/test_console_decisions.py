"""Pure decisions of the console: SMS parts, the pace of a mailing, drafts, safe addresses."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request

from services.console.draft import Draft, fresh, like
from services.console.formatting import Formatter
from services.console.forms import instant, lines, local_path
from services.console.pace import Sample, mean_pace, measured_pace
from services.console.rest.answers import Mailing
from services.console.session import token_of
from shared.same_origin import is_same_origin
from shared.sms_parts import parts

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
MOSCOW = ZoneInfo("Europe/Moscow")


def mailing(**changes: object) -> Mailing:
    fields: dict[str, object] = {
        "id": 1,
        "created_at": NOW - timedelta(hours=1),
        "starts_at": NOW - timedelta(minutes=10),
        "expired_at": NOW + timedelta(minutes=10),
        "text": "Your order is ready",
        "filter": {"tag": ["#x"]},
        "window": None,
        "rate": None,
        "name": None,
        "kind": "marketing",
        "state": "running",
        "paused": False,
        "started_at": NOW - timedelta(minutes=10),
        "finished_at": None,
        "messages_status": {"new": 6000, "sent": 4000, "total": 10_000},
    }
    return Mailing.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("a" * 152 + "€" + "a" * 8, "GSM-7", 162, 2),
        # The extension character does not fit into the last septet of a part, so the next part begins with it.
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),
        ("я" * 70, "UCS-2", 70, 1),
        ("я" * 71, "UCS-2", 71, 2),
        ("я" * 134, "UCS-2", 134, 2),
        ("😀" * 35, "UCS-2", 70, 1),
        ("я" * 66 + "😀" + "я" * 66, "UCS-2", 134, 3),
    ],
)
def test_a_text_has_as_many_parts_as_the_standard_says(text: str, encoding: str, units: int, count: int) -> None:
    found = parts(text)
    assert (found.encoding, found.units, found.count) == (encoding, units, count)


@given(st.text(max_size=500))
def test_no_text_has_fewer_parts_than_its_length_needs(text: str) -> None:
    found = parts(text)
    alone, each = (160, 153) if found.encoding == "GSM-7" else (70, 67)
    assert found.count == 1 if found.units <= alone else found.count >= -(-found.units // each)
    assert found.left >= 0


def test_the_pace_is_that_of_the_last_seconds_and_says_who_will_be_late() -> None:
    samples = [Sample(NOW - timedelta(seconds=ago), 4000 - 5 * ago) for ago in range(60, -1, -1)]
    pace = measured_pace(mailing(), samples, NOW)
    assert pace is not None
    assert pace.per_second == pytest.approx(5)
    assert pace.finish == NOW + timedelta(seconds=1200)
    assert pace.late == 3000


def test_one_look_tells_no_pace() -> None:
    assert measured_pace(mailing(), [Sample(NOW, 10)], NOW) is None
    assert measured_pace(mailing(), [], NOW) is None


def test_with_local_hours_no_end_is_foreseen_from_the_pace() -> None:
    pace = mean_pace(mailing(window={"from": "09:00:00", "until": "21:00:00"}), NOW)
    assert pace is not None
    assert pace.finish is None
    assert pace.late == 0


def test_a_retry_that_puts_messages_back_is_no_negative_pace() -> None:
    samples = [Sample(NOW - timedelta(seconds=5), 4000), Sample(NOW, 100)]
    pace = measured_pace(mailing(), samples, NOW)
    assert pace is not None
    assert pace.per_second == 0


def test_canceling_is_no_speed() -> None:
    counts = {"sent": 600, "canceled": 9400, "total": 10_000}
    pace = mean_pace(mailing(state="canceled", finished_at=NOW, messages_status=counts), NOW)
    assert pace is not None
    assert pace.per_second == 1


def test_a_mailing_that_has_not_started_has_no_pace() -> None:
    assert mean_pace(mailing(state="scheduled", started_at=None), NOW) is None


def test_a_draft_is_what_the_api_takes_in_the_zone_of_the_person() -> None:
    draft = Draft(
        tag="#a\n\n#b\n#a", code="905, 906", text="Hi\r\nthere", start="2030-02-01T10:00", end="2030-02-02T10:00"
    )
    assert draft.body(MOSCOW, NOW) == {
        "filter": {"tag": ["#a", "#b"], "code": ["905", "906"]},
        "name": None,
        "kind": "marketing",
        "text": "Hi\nthere",
        "starts_at": "2030-02-01T10:00:00+03:00",
        "expired_at": "2030-02-02T10:00:00+03:00",
        "window": None,
        "rate": None,
    }


def test_a_new_draft_wakes_nobody_up() -> None:
    assert fresh(MOSCOW, NOW).body(MOSCOW, NOW)["window"] == {"from": "09:00", "until": "21:00"}


def test_a_draft_like_another_mailing_starts_at_a_new_time() -> None:
    draft = like(mailing(rate=50, filter={"tag": ["#x"], "zone": ["Asia/Omsk"]}), MOSCOW, NOW)
    assert (draft.tag, draft.zone, draft.text, draft.rate) == ("#x", "Asia/Omsk", "Your order is ready", "50")
    assert (draft.start, draft.begin) == ("", "")
    assert instant(draft.end, MOSCOW) == NOW + timedelta(hours=1)


def test_what_is_no_number_or_time_is_left_to_the_api_to_refuse() -> None:
    body = Draft(tag="x", rate="many", end="soon").body(MOSCOW, NOW)
    assert (body["rate"], body["expired_at"]) == ("many", "soon")


@pytest.mark.parametrize(
    ("given_url", "kept"),
    [
        ("/mailings/?state=running", "/mailings/?state=running"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_nobody_is_led_to_another_site(given_url: str, kept: str) -> None:
    assert local_path(given_url) == kept


@pytest.mark.parametrize(
    ("method", "headers", "allowed"),
    [
        ("GET", {"sec-fetch-site": "cross-site"}, True),
        ("POST", {"sec-fetch-site": "same-origin"}, True),
        ("POST", {"sec-fetch-site": "none"}, True),
        ("POST", {"sec-fetch-site": "cross-site"}, False),
        ("POST", {"sec-fetch-site": "same-site"}, False),
        ("POST", {"origin": "http://console.example", "host": "console.example"}, True),
        ("POST", {"origin": "http://evil.example", "host": "console.example"}, False),
        ("POST", {"origin": "null", "host": "console.example"}, False),
        ("POST", {"host": "console.example"}, True),
        ("DELETE", {"sec-fetch-site": "cross-site"}, False),
    ],
)
def test_another_site_changes_nothing(method: str, headers: dict[str, str], allowed: bool) -> None:
    assert is_same_origin(method, Headers(headers)) is allowed


@pytest.mark.parametrize(
    ("cookie", "token"),
    [
        ("session=abc", "abc"),
        ("__Host-session=secure; session=plain", "secure"),
        ("other=abc", None),
        ("session=", None),
        ('session="a b"', None),
        ("session=\u00e9", None),
    ],
)
def test_the_token_of_the_session_cookie_is_handed_on_if_it_can_be_a_header(
    cookie: str, token: str | None
) -> None:
    request = Request({"type": "http", "headers": [(b"cookie", cookie.encode("latin-1"))]})
    assert token_of(request) == token


def test_lines_are_kept_once_and_without_blanks() -> None:
    assert lines(" #a \n\n#b\r\n#a") == ["#a", "#b"]


@pytest.mark.parametrize(
    ("language", "number", "share", "almost", "few", "length"),
    [
        ("en", "48,213", "65%", "99.99%", "<\u202f0.1%", "1 hr 6 min"),
        ("ru", "48\xa0213", "65\xa0%", "99,99\xa0%", "<\u202f0,1\xa0%", "1 ч 6 мин"),
    ],
)
def test_numbers_are_written_as_the_language_does(
    language: str, number: str, share: str, almost: str, few: str, length: str
) -> None:
    written = Formatter(Locale.parse(language), MOSCOW, NOW)
    assert written.number(48_213) == number
    assert written.percent(65, 100) == share
    assert written.percent(999_999, 1_000_000) == almost
    assert written.percent(1, 10_000) == few
    assert written.duration(timedelta(hours=1, minutes=6, seconds=7)) == length
    assert written.phone(79057003050) == "+7 905 700-30-50"
    assert written.time(NOW) == "15:00"
