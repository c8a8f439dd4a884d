"""Settings of the notifier."""

from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AnyHttpUrl, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from services.notifier.mail.addresses import Recipient, check_address, parse_recipients
from services.notifier.mail.smtp import SmtpSecurity, SmtpServer
from shared.alert_rules import FAILED_SHARE
from shared.settings import (
    BrokerSettings,
    DatabaseSettings,
    Duration,
    LogSettings,
    MetricsSettings,
    WebhookSettings,
)
from shared.zones import find_zone


def _recipients(value: object) -> object:
    return parse_recipients(value) if isinstance(value, str) else value


def _known_zone(name: str) -> str:
    if find_zone(name) is None:
        raise ValueError("is no time zone of tzdata, such as Europe/Moscow")
    return name


Recipients = Annotated[tuple[Recipient, ...], NoDecode, BeforeValidator(_recipients)]


class MailSettings(LogSettings):
    """SMTP server, and the sender's address. Without a host, no mail is sent."""

    smtp_host: str | None = Field(None, description="server for e-mail; without it, none is sent")
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: SmtpSecurity = Field(
        SmtpSecurity.STARTTLS, description="`starttls`, `tls`, or `none` for a server on the same machine"
    )
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_ca_file: Path | None = Field(None, description="certificates to trust instead of the system's")
    smtp_timeout: Duration = Field(
        timedelta(seconds=30), ge=timedelta(seconds=1), le=timedelta(minutes=5), description="for one mail in all"
    )
    mail_from: Annotated[str, AfterValidator(check_address)] = Field(
        "mailing@localhost", description="address of the sender"
    )

    @model_validator(mode="after")
    def _keeps_the_password_secret(self) -> "MailSettings":
        if self.smtp_username is not None and self.smtp_security is SmtpSecurity.NONE:
            raise ValueError("MAILING_SMTP_USERNAME needs MAILING_SMTP_SECURITY=starttls or tls")
        return self

    def smtp_server(self) -> SmtpServer | None:
        """Return the server, or None if no mail is sent."""
        if self.smtp_host is None:
            return None
        return SmtpServer(
            self.smtp_host,
            self.smtp_port,
            self.smtp_security,
            self.smtp_timeout,
            self.smtp_username,
            self.smtp_password,
            self.smtp_ca_file,
            self.host_name,
        )


class ReportSettings(MailSettings):
    """Daily report: when, to whom, and what it shows."""

    report_to: Recipients = Field(
        (), description="addresses for the daily report, with commas; `anna@example.org:ru` sets a language"
    )
    report_zone: Annotated[str, AfterValidator(_known_zone)] = Field("UTC", description="time zone of its days")
    report_at: time = Field(time(9), description="local time at which the report of the day before is sent")
    report_language: Literal["en", "ru"] = "en"
    report_empty_days: bool = Field(False, description="send a report of days on which nothing happened, too")
    report_part_price: float | None = Field(None, ge=0, description="price of one SMS part, to show the cost")
    report_currency: str = Field("RUB", pattern="^[A-Z]{3}$", description="currency of that price")
    console_url: AnyHttpUrl | None = Field(None, description="address of the console, for links in mails")

    def zone(self) -> ZoneInfo:
        """Return the zone of the days."""
        zone = find_zone(self.report_zone)
        assert zone is not None, "it was checked"
        return zone

    def language_of(self, recipient: Recipient) -> str:
        """Return the language of what is sent to the recipient."""
        return recipient.language or self.report_language


class NotifierSettings(ReportSettings, WebhookSettings, DatabaseSettings, BrokerSettings, MetricsSettings):
    """Settings of the notifier. docs/reference.md describes them."""

    alert_to: Recipients = Field(
        (), description="addresses for alerts, with commas; `anna@example.org:ru` sets a language"
    )
    alert_late_share: float = Field(
        0.01, ge=0, le=1, description="share of a mailing that may stay unsent before it counts as late"
    )
    alert_failed_share: float = Field(
        FAILED_SHARE, ge=0, le=1, description="share of the messages that may fail within ten minutes"
    )
    alert_paused_for: Duration = Field(
        timedelta(hours=1), ge=timedelta(0), description="longest time for which a mailing may be paused"
    )
    alert_clock_off: Duration = Field(
        timedelta(seconds=1), gt=timedelta(0), description="largest difference to PostgreSQL's clock"
    )
    alert_database_size: int | None = Field(None, ge=1, description="bytes at which the database counts as large")
    webhook_timeout: Duration = Field(
        timedelta(seconds=15),
        ge=timedelta(milliseconds=100),
        le=timedelta(minutes=1),
        description="longest time in which a webhook's receiver may answer",
    )


class ReportCommandSettings(ReportSettings, DatabaseSettings):
    """Settings of the command `mailing report`."""
