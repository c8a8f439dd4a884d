"""The daily report: which day it is about, what it says, and who gets it."""

from datetime import UTC, date, datetime, time, timedelta
from email import message_from_bytes
from email.policy import default
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import words
from services.notifier.mail.addresses import Recipient, parse_recipients
from services.notifier.mail.messages import Content, Envelope, compose, report_id
from services.notifier.mail.rendering import LOCALES, MailStyle
from services.notifier.mailer import GIVEN_UP_AFTER, LONGEST_PAUSE, pause_before_retry
from services.notifier.report.days import bounds, due_days, last_due_day
from services.notifier.report.model import (
    DAYS_SHOWN,
    Counts,
    MailingOfDay,
    ProviderAnswer,
    ReportFacts,
    StartingMailing,
    compare,
)
from services.notifier.report.rendering import render_report
from shared.statuses import FINAL_STATUSES, MessageStatus, Reason
from shared.zones import find_zone, known_zones

MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 11, 24)
STYLE = MailStyle("https://mailing.example.org/", 2.5, "RUB")
NINE = time(9)


def facts(**changes: object) -> ReportFacts:
    """Facts of a day with something of everything."""
    each: list[tuple[date, Counts]] = [
        (DAY - timedelta(days=ago), {"sent": 100 - ago, "failed": ago}) for ago in reversed(range(DAYS_SHOWN))
    ]
    whole: dict[str, object] = {
        "day": DAY,
        "zone": MOSCOW,
        "days": each,
        "mailings": [
            MailingOfDay(
                7,
                "Sale <b>now</b>",
                "finished",
                datetime(2026, 11, 24, 18, tzinfo=UTC),
                {"sent": 90, "expired": 5},
            ),
            MailingOfDay(0, "", "", None, {"sent": 10}),
        ],
        "more_mailings": 2,
        "reasons": [("failed", "answer", 3), ("expired", "a reason of a later release", 5)],
        "answers": [ProviderAnswer(400, "unknown number", 3)],
        "held": 4,
        "parts": 180,
        "starting": [StartingMailing(9, "Hello", datetime(2026, 11, 25, 7, 30, tzinfo=UTC))],
    }
    return ReportFacts(**{**whole, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2026, 11, 24), "Europe/Moscow", 24),
        (date(2026, 3, 29), "Europe/Berlin", 23),
        (date(2026, 10, 25), "Europe/Berlin", 25),
        (date(2026, 9, 6), "America/Santiago", 23),  # its clocks skip midnight
    ],
)
def test_a_day_has_as_many_hours_as_its_clocks_show(day: date, zone: str, hours: int) -> None:
    this = bounds(day, ZoneInfo(zone))
    assert this.end - this.start == timedelta(hours=hours)


@given(st.dates(date(2000, 1, 1), date(2036, 1, 1)), st.sampled_from(sorted(known_zones())))
def test_a_day_begins_when_the_day_before_ends(day: date, name: str) -> None:
    zone = find_zone(name)
    assert zone is not None
    assert bounds(day, zone).end == bounds(day + timedelta(days=1), zone).start


@pytest.mark.parametrize(
    ("local", "last_due"),
    [
        (datetime(2026, 11, 25, 8, 59, tzinfo=BERLIN), date(2026, 11, 23)),
        (datetime(2026, 11, 25, 9, 0, tzinfo=BERLIN), date(2026, 11, 24)),
        (datetime(2026, 11, 26, 0, 1, tzinfo=BERLIN), date(2026, 11, 24)),
        (datetime(2026, 10, 25, 9, 0, tzinfo=BERLIN), date(2026, 10, 24)),  # the night had an hour more
    ],
)
def test_a_report_is_due_on_the_next_day_at_the_local_time(local: datetime, last_due: date) -> None:
    assert last_due_day(local.astimezone(UTC), NINE, BERLIN) == last_due


@pytest.mark.parametrize(
    ("days_since_the_last", "reported"),
    [(None, [0]), (0, []), (1, [0]), (2, [1, 0]), (3, [2, 1, 0]), (40, [2, 1, 0])],
)
def test_missed_days_are_reported_late_but_not_all_of_a_long_absence(
    days_since_the_last: int | None, reported: list[int]
) -> None:
    last = None if days_since_the_last is None else DAY - timedelta(days=days_since_the_last)
    assert list(due_days(DAY, last)) == [DAY - timedelta(days=ago) for ago in reported]


def test_a_day_is_compared_with_the_day_before_and_the_mean_of_seven() -> None:
    sent = next(one for one in compare(facts()) if one.status is MessageStatus.SENT)
    assert sent.value == 100
    assert sent.to_day_before == pytest.approx(100 / 99 - 1)
    assert sent.to_mean == pytest.approx(100 / 96 - 1)
    canceled = next(one for one in compare(facts()) if one.status is MessageStatus.CANCELED)
    assert (canceled.value, canceled.to_day_before, canceled.to_mean) == (0, None, None)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_report_says_everything_in_both_parts(language: str) -> None:
    content = render_report(facts(), language, STYLE)
    for part in (content.text, content.html):
        assert "https://mailing.example.org/mailings/7/" in part
        assert "10:30" in part, "the start in the zone of the report"
        assert "unknown number" in part
        assert "180" in part
        assert "450" in part, "the cost"
    assert "<b>now</b>" not in content.html, "the text of a mailing is escaped"
    assert "\n" not in content.subject


def test_a_report_loads_nothing_from_elsewhere_and_runs_nothing() -> None:
    class Finder(HTMLParser):
        found: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.found += [tag] if tag in {"img", "script", "link", "iframe"} else []
            self.found += [name for name, _ in attributes if name in {"src", "background"}]

    finder = Finder()
    finder.feed(render_report(facts(), "en", STYLE).html)
    assert finder.found == []
    assert "url(" not in render_report(facts(), "en", STYLE).html


def test_an_empty_day_has_a_report_that_says_so() -> None:
    nothing = facts(
        days=[(day, {}) for day, _ in facts().days], mailings=[], more_mailings=0, reasons=[], answers=[], held=0,
        starting=[], parts=0,
    )  # fmt: skip
    assert nothing.is_empty
    assert "No message ended" in render_report(nothing, "en", STYLE).html


def test_every_text_of_a_mail_is_translated() -> None:
    found = extract_from_dir(
        str(LOCALES.parent),
        method_map=[("**.py", "python"), ("**/templates/**", "jinja2")],
        options_map={"**/templates/**": {"newstyle_gettext": "true", "trimmed": "true"}},
        keywords={"_": None, "gettext": None, "ngettext": (1, 2), "N_": None},
    )
    marked = {message for _, _, message, _, _ in found if message}
    with (LOCALES / "ru" / "LC_MESSAGES" / "notifier.po").open("rb") as source:
        catalog = read_po(source, locale="ru")
    assert {message.id for message in catalog if message.id} == marked
    for message in catalog:
        forms = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(forms), message.id


def test_every_status_and_reason_has_words() -> None:
    assert words.STATUSES.keys() == FINAL_STATUSES
    assert words.REASONS.keys() == {"none", *Reason}


def test_recipients_have_languages_of_their_own() -> None:
    given = parse_recipients("anna@example.org, boris@example.org:ru")
    assert given == (Recipient("anna@example.org"), Recipient("boris@example.org", "ru"))


@pytest.mark.parametrize(
    "address",
    [
        "anna",
        "anna@example.org:xx",
        "a b@example.org",
        "anna@example.org\nBcc: eve@example.org",
        "<anna@example.org>",
    ],
)
def test_a_wrong_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_recipients(address)


def test_a_mail_has_two_parts_and_headers_that_do_not_change() -> None:
    envelope = Envelope(
        "mailing@example.org", "anna@example.org", "report.1@example.org", datetime(2026, 11, 25, 9, tzinfo=UTC)
    )
    content = Content("Отчёт", "Текст " * 300, "<p>Текст</p>", "ru")
    sent = compose(envelope, content).as_bytes()
    read = message_from_bytes(sent, policy=default)
    assert read["Message-ID"] == "<report.1@example.org>"
    assert read["Subject"] == "Отчёт"
    assert read["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    assert max(map(len, sent.split(b"\r\n"))) <= 998
    assert compose(envelope, content)["Date"] == read["Date"]


@pytest.mark.parametrize("subject", ["a\nBcc: eve@example.org", "a\r\nBcc: eve@example.org", "a\rb"])
def test_no_header_can_be_added_by_a_line_break(subject: str) -> None:
    envelope = Envelope(
        "mailing@example.org", "anna@example.org", "1@example.org", datetime(2026, 11, 25, tzinfo=UTC)
    )
    with pytest.raises(ValueError, match=r"linefeed|carriage"):
        compose(envelope, Content(subject, "", "", "en"))


def test_the_id_of_a_report_depends_on_day_and_recipient_only() -> None:
    ids = {
        report_id(day, to, "m@example.org") for day in (DAY, DAY + timedelta(days=1)) for to in ("a@b.c", "d@b.c")
    }
    assert len(ids) == 4
    assert report_id(DAY, "A@b.c", "m@example.org") == report_id(DAY, "a@b.c", "m@example.org")


def test_pauses_grow_up_to_half_an_hour() -> None:
    pauses = [pause_before_retry(tries) for tries in range(1, 200)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE < GIVEN_UP_AFTER
