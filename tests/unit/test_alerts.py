"""Alerts: which conditions justify one, when it begins and ends, and what its notice says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from services.notifier import words
from services.notifier.alerts.conditions import (
    ABSENT_BEFORE_END,
    Condition,
    Limits,
    Memory,
    Observations,
    RunningMailing,
    find_conditions,
    unknown_kinds,
)
from services.notifier.alerts.rendering import render_notice
from services.notifier.mail.rendering import MailStyle
from shared.alert_rules import FAILED_SHARE, RULES, AlertKind
from shared.ledger.alerts import AlertRow

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LIMITS = Limits(0.01, FAILED_SHARE, timedelta(hours=1), timedelta(seconds=1), None)
MINUTE = timedelta(minutes=1)
ALERTS = yaml.safe_load((Path(__file__).parents[2] / "deploy/prometheus/alerts.yml").read_text())
PROMETHEUS = {rule["alert"]: rule for group in ALERTS["groups"] for rule in group["rules"]}


def seen(**changes: Any) -> Observations:
    """Return observations of a system without a fault."""
    whole: dict[str, Any] = {
        "now": NOW,
        "running": [],
        "paused": {},
        "ended_lately": 1000,
        "failed_lately": 0,
        "failed_posts": 0,
        "answered_posts": 100,
        "clock_difference": timedelta(0),
        "webhooks_off": {},
        "database_bytes": 10,
        "dead_letters": {},
        "senders": 2,
    }
    return Observations(**{**whole, **changes})


def mailing(due: int, settled_lately: int, left: timedelta = timedelta(minutes=10)) -> RunningMailing:
    return RunningMailing(7, 10_000, due, settled_lately, NOW + left)


def test_a_system_without_a_fault_has_no_alert() -> None:
    assert list(find_conditions(seen(running=[mailing(1000, 5000)]), LIMITS)) == []


@pytest.mark.parametrize(
    ("changes", "kind", "subject"),
    [
        ({"failed_posts": 3, "answered_posts": 0}, AlertKind.PROVIDER_OUT, ""),
        ({"senders": 0}, AlertKind.SENDERS_GONE, ""),
        ({"running": [mailing(5000, 100)]}, AlertKind.MAILING_LATE, "7"),
        ({"paused": {9: NOW - timedelta(hours=1)}}, AlertKind.MAILING_PAUSED, "9"),
        ({"failed_lately": 31}, AlertKind.MESSAGES_FAIL, ""),
        ({"dead_letters": {"sender.jobs": 2, "planner.events": 0}}, AlertKind.DEAD_LETTERS, "sender.jobs"),
        ({"clock_difference": timedelta(seconds=-1.5)}, AlertKind.CLOCK_OFF, ""),
        ({"webhooks_off": {4: "answered 410"}}, AlertKind.WEBHOOK_OFF, "4"),
    ],
)
def test_a_fault_is_a_condition(changes: dict[str, Any], kind: AlertKind, subject: str) -> None:
    [condition] = find_conditions(seen(**changes), LIMITS)
    assert condition.key == (kind, subject)


@pytest.mark.parametrize(
    "changes",
    [
        {"failed_posts": 50, "answered_posts": 1},
        {"senders": None},
        {"dead_letters": None},
        {"running": [mailing(200, 50)]},  # 100 of 10,000 stay unsent, which is allowed
        {"running": [mailing(0, 0)]},  # waits for its window
        {"paused": {9: NOW - timedelta(minutes=59)}},
        {"failed_lately": 30},
        {"failed_lately": 19, "ended_lately": 19},
        {"clock_difference": timedelta(seconds=1)},
    ],
)
def test_what_is_allowed_or_not_known_is_no_condition(changes: dict[str, Any]) -> None:
    assert list(find_conditions(seen(**changes), LIMITS)) == []


def test_a_large_database_is_a_condition_if_a_size_is_set() -> None:
    limits = Limits(0.01, 0.03, timedelta(hours=1), timedelta(seconds=1), 10)
    [condition] = find_conditions(seen(), limits)
    assert condition.kind is AlertKind.DATABASE_LARGE


def test_an_alert_begins_when_its_condition_has_held_and_ends_when_it_is_absent_for_a_minute() -> None:
    memory, condition = Memory(), Condition(AlertKind.PROVIDER_OUT)
    hold = RULES[AlertKind.PROVIDER_OUT].hold
    memory.observe([condition], set(), set(), NOW)
    assert not memory.has_held(condition, NOW)
    memory.observe([condition], set(), set(), NOW + hold)
    assert memory.has_held(condition, NOW + hold)
    memory.observe([], {condition.key}, set(), NOW + hold)
    assert not memory.is_over(condition.key, NOW + hold)
    memory.observe([condition], {condition.key}, set(), NOW + hold + MINUTE / 2)  # back for a moment
    memory.observe([], {condition.key}, set(), NOW + hold + MINUTE)
    assert not memory.is_over(condition.key, NOW + hold + MINUTE)
    later = NOW + hold + MINUTE + ABSENT_BEFORE_END
    memory.observe([], {condition.key}, set(), later)
    assert memory.is_over(condition.key, later)


def test_a_condition_that_is_gone_for_a_moment_must_hold_anew() -> None:
    memory, condition = Memory(), Condition(AlertKind.PROVIDER_OUT)
    memory.observe([condition], set(), set(), NOW)
    memory.observe([], set(), set(), NOW + MINUTE / 2)
    memory.observe([condition], set(), set(), NOW + MINUTE)
    assert not memory.has_held(condition, NOW + MINUTE)


def test_an_alert_does_not_end_because_the_broker_cannot_be_asked() -> None:
    memory, key = Memory(), (AlertKind.DEAD_LETTERS.value, "sender.jobs")
    unknown = unknown_kinds(seen(dead_letters=None, senders=None))
    memory.observe([], {key}, unknown, NOW)
    memory.observe([], {key}, unknown, NOW + timedelta(hours=1))
    assert not memory.is_over(key, NOW + timedelta(hours=1))


@pytest.mark.parametrize("kind", [kind for kind, rule in RULES.items() if rule.prometheus])
def test_an_alert_is_as_urgent_and_waits_as_long_as_that_of_prometheus(kind: AlertKind) -> None:
    rule = RULES[kind]
    theirs = PROMETHEUS[rule.prometheus or ""]
    assert theirs["labels"]["severity"] == rule.severity
    assert int(str(theirs.get("for", "0m")).removesuffix("m")) * MINUTE == rule.hold


def test_the_share_of_failures_is_that_of_prometheus() -> None:
    assert f"> {FAILED_SHARE} * " in PROMETHEUS["MessagesFail"]["expr"]


FACTS = {
    "mailing_id": 7, "due": 5000, "unsent": 4800, "failed": 31, "ended": 1000, "messages": 2, "seconds": 1.5,
    "because": "answered 410", "bytes": 10, "posts": 3, "since": "…",
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("phase", ["began", "continues", "ended"])
@pytest.mark.parametrize("kind", AlertKind)
def test_every_alert_has_a_notice_in_every_phase_and_language(kind: AlertKind, phase: str, language: str) -> None:
    ended_at = NOW + MINUTE if phase == "ended" else None
    alert = AlertRow(1, kind, "7", RULES[kind].severity, dict(FACTS), NOW, NOW, ended_at)
    content = render_notice(
        alert, phase, language, "Europe/Moscow", MailStyle("https://example.org/", None, "RUB")
    )
    assert kind in words.ALERTS
    assert "%(" not in content.subject + content.text + content.html
    assert "15:00" in content.text
    assert "https://example.org/mailings/7/" in content.html
    assert "\n" not in content.subject
