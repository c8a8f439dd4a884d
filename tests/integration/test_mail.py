"""Mails over real SMTP: once to each recipient, whatever the server and the other notifiers do."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.mailer import MAIL_POLL, Mailer
from services.notifier.observer import NotifierObserver
from services.notifier.report.queries import read_report
from services.notifier.settings import ReportSettings
from shared.cli.main import main
from shared.database.transactions import transaction
from shared.ledger.mails import claim_mail
from shared.zones import find_zone
from tests.integration.ledger import add_clients, add_mailing, query
from tests.mail_server import HANG_UP, PASSWORD, USER, MailServer, mail_server

TODAY = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path, login=True) as running:
        yield running


def settings_for(server: MailServer, **changes: object) -> ReportSettings:
    given: dict[str, object] = {
        "smtp_host": "127.0.0.1",
        "smtp_port": server.port,
        "smtp_username": USER,
        "smtp_password": SecretStr(PASSWORD),
        "smtp_ca_file": server.ca_file,
        "smtp_timeout": timedelta(seconds=20),
        "report_to": "anna@example.org, boris@example.org:ru",
        "report_empty_days": True,
    }
    return ReportSettings.model_validate(given | changes)


def mailer_on(engine: AsyncEngine, settings: ReportSettings, now: datetime = TODAY) -> Mailer:
    server = settings.smtp_server()
    assert server is not None
    return Mailer(settings, server, engine, NotifierObserver(), lambda: now)


async def send_all(mailer: Mailer) -> None:
    """Send until no mail is due."""
    await mailer.schedule_reports()
    while await mailer.send() != MAIL_POLL:
        pass


async def make_due(engine: AsyncEngine) -> None:
    """Let time pass, so that pauses and leases are over."""
    async with transaction(engine) as connection:
        await connection.execute(
            text("UPDATE mails SET next_at = now(), lease_until = now() WHERE sent_at IS NULL")
        )


async def states(engine: AsyncEngine) -> list[tuple[object, ...]]:
    rows = await query(
        engine, "SELECT sent_at IS NOT NULL, given_up_at IS NOT NULL, tries, error FROM mails ORDER BY recipient"
    )
    return [tuple(row) for row in rows]


async def test_a_report_goes_encrypted_and_authenticated_to_each_in_their_language(
    engine: AsyncEngine, server: MailServer
) -> None:
    await send_all(mailer_on(engine, settings_for(server)))
    assert [mail.recipient for mail in server.received] == ["anna@example.org", "boris@example.org"]
    assert all(mail.is_encrypted for mail in server.received)
    assert [mail.message["Content-Language"] for mail in server.received] == ["en", "ru"]
    assert "November 24" in str(server.received[0].message["Subject"])
    assert "24 ноября" in str(server.received[1].message["Subject"])
    assert await states(engine) == [(True, False, 1, None)] * 2


async def test_nothing_is_sent_to_a_server_with_an_unknown_certificate(
    engine: AsyncEngine, server: MailServer
) -> None:
    await send_all(mailer_on(engine, settings_for(server, smtp_ca_file=None)))
    assert server.received == []
    assert [state[:3] for state in await states(engine)] == [(False, False, 1)] * 2


async def test_nothing_is_sent_in_the_clear_to_a_server_without_tls(engine: AsyncEngine, tmp_path: Path) -> None:
    with mail_server(tmp_path, encrypted=False) as plain:
        await send_all(mailer_on(engine, settings_for(plain, smtp_username=None)))
        assert plain.received == []


async def test_a_wrong_password_is_tried_again(engine: AsyncEngine, server: MailServer) -> None:
    await send_all(mailer_on(engine, settings_for(server, smtp_password=SecretStr("wrong"))))
    assert [state[:3] for state in await states(engine)] == [(False, False, 1)] * 2


async def test_a_greylisted_mail_is_sent_later(engine: AsyncEngine, server: MailServer) -> None:
    server.to_rcpt.extend(["451 try again later"] * 2)
    mailer = mailer_on(engine, settings_for(server))
    await send_all(mailer)
    assert server.received == []
    await make_due(engine)
    await send_all(mailer)
    assert len(server.received) == 2
    assert await states(engine) == [(True, False, 2, None)] * 2


async def test_a_refused_recipient_is_given_up_and_the_other_gets_its_mail(
    engine: AsyncEngine, server: MailServer
) -> None:
    server.to_rcpt.append("550 no such user")
    mailer = mailer_on(engine, settings_for(server))
    await send_all(mailer)
    await make_due(engine)
    await send_all(mailer)
    assert [mail.recipient for mail in server.received] == ["boris@example.org"]
    refused, sent = await states(engine)
    assert refused[:3] == (False, True, 1)
    assert "no such user" in str(refused[3])
    assert sent == (True, False, 1, None)


async def test_after_a_hang_up_in_data_the_same_mail_is_sent_again(
    engine: AsyncEngine, server: MailServer
) -> None:
    server.to_data.append(HANG_UP)
    mailer = mailer_on(engine, settings_for(server))
    await send_all(mailer)
    await make_due(engine)
    await send_all(mailer)
    assert Counter(mail.recipient for mail in server.received) == {"anna@example.org": 1, "boris@example.org": 1}


async def test_three_notifiers_send_each_report_once(engine: AsyncEngine, server: MailServer) -> None:
    settings = settings_for(server, report_to=", ".join(f"r{number}@example.org" for number in range(12)))
    await asyncio.gather(*(send_all(mailer_on(engine, settings)) for _ in range(3)))
    assert Counter(Counter(mail.recipient for mail in server.received).values()) == {1: 12}


async def test_a_notifier_that_died_after_the_acceptance_repeats_the_mail_with_its_id(
    engine: AsyncEngine, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailer = mailer_on(engine, settings_for(server, report_to="anna@example.org"))
    await mailer.schedule_reports()

    class Died(BaseException):
        pass

    async def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr("services.notifier.mailer.record_sent_mail", die)
        with pytest.raises(Died):
            await mailer.send()
    await send_all(mailer)
    assert len(server.received) == 1, "its lease is not over"
    await make_due(engine)
    await send_all(mailer)
    assert len(server.received) == 2
    assert len({mail.message_id for mail in server.received}) == 1


async def test_a_mail_that_another_notifier_sends_is_not_claimed(engine: AsyncEngine, server: MailServer) -> None:
    await mailer_on(engine, settings_for(server, report_to="anna@example.org")).schedule_reports()
    now = datetime.now(UTC)
    async with transaction(engine) as connection:
        assert await claim_mail(connection, now, timedelta(seconds=60)) is not None
        assert await claim_mail(connection, now, timedelta(seconds=60)) is None
        assert await claim_mail(connection, now + timedelta(seconds=61), timedelta(seconds=60)) is not None


async def test_an_empty_day_is_silent_by_default(engine: AsyncEngine, server: MailServer) -> None:
    await send_all(mailer_on(engine, settings_for(server, report_empty_days=False)))
    assert server.received == []
    assert [state[1] for state in await states(engine)] == [True, True]


async def test_a_missed_day_is_sent_late_once(engine: AsyncEngine, server: MailServer) -> None:
    settings = settings_for(server, report_to="anna@example.org")
    for now in (TODAY, TODAY + timedelta(days=2), TODAY + timedelta(days=2), TODAY + timedelta(days=30)):
        await send_all(mailer_on(engine, settings, now))
    days = await query(engine, "SELECT to_char(day, 'MM-DD') FROM mails ORDER BY day")
    assert [row[0] for row in days] == ["11-24", "11-25", "11-26", "12-22", "12-23", "12-24"]


async def test_a_report_has_the_numbers_of_its_day(
    engine: AsyncEngine, database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_clients(engine, 1)
    mailing_id = await add_mailing(engine)
    zone = find_zone("Europe/Berlin")
    assert zone is not None
    async with transaction(engine) as connection:
        # The day of 25 hours: from 22:00 to 23:00 UTC.
        for at, status, reason, messages in (
            ("2026-10-24 21:59:50+00", "sent", "none", 5),
            ("2026-10-24 22:00:00+00", "sent", "none", 70),
            ("2026-10-25 22:59:50+00", "failed", "answer", 7),
            ("2026-10-25 23:00:00+00", "sent", "none", 900),
        ):
            await connection.execute(
                text(
                    "INSERT INTO progress (mailing_id, at, status, reason, messages)"
                    " VALUES (:id, CAST(:at AS timestamptz), CAST(:status AS message_status),"
                    " CAST(:reason AS message_reason), :messages)"
                ),
                {"id": mailing_id, "at": at, "status": status, "reason": reason, "messages": messages},
            )
    async with transaction(engine) as connection:
        facts = await read_report(connection, date(2026, 10, 25), zone)
    assert facts.counts == {"sent": 70, "failed": 7}
    assert facts.days[-2][1] == {"sent": 5}
    assert [(mailing.id, mailing.counts) for mailing in facts.mailings] == [
        (mailing_id, {"sent": 70, "failed": 7})
    ]
    assert facts.reasons == [("failed", "answer", 7)]
    assert facts.parts == 70

    monkeypatch.setenv("MAILING_DATABASE_URL", database_url)
    monkeypatch.setenv("MAILING_REPORT_ZONE", "Europe/Berlin")
    assert await asyncio.to_thread(main, ["report", "--day", "2026-10-25", "--print"]) == 0
    assert "Sent: 70" in capsys.readouterr().out


async def test_the_command_sends_the_report_of_a_day(
    engine: AsyncEngine,
    database_url: str,
    server: MailServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "DATABASE_URL": database_url,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(server.port),
        "SMTP_USERNAME": USER,
        "SMTP_PASSWORD": PASSWORD,
        "SMTP_CA_FILE": str(server.ca_file),
    }.items():
        monkeypatch.setenv(f"MAILING_{name}", value)
    command = ["report", "--day", "2026-10-25", "--send-to"]
    assert await asyncio.to_thread(main, [*command, "anna@example.org:ru"]) == 0
    assert [mail.recipient for mail in server.received] == ["anna@example.org"]
    server.to_rcpt.append("550 no such user")
    assert await asyncio.to_thread(main, [*command, "boris@example.org"]) == 1
    assert "no such user" in capsys.readouterr().err
