"""E-mail messages: a text part, an HTML part, and headers that never change between two tries. Pure."""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime


@dataclass(frozen=True, slots=True)
class Content:
    """Subject and both parts of a mail, in one language."""

    subject: str
    text: str
    html: str
    language: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """Sender, recipient and id of a mail. `at` is when it was first due."""

    sender: str
    recipient: str
    message_id: str
    at: datetime


def compose(envelope: Envelope, content: Content) -> EmailMessage:
    """Compose the message. Raises ValueError if a header contains a line break."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Mailing service", addr_spec=envelope.sender)
    message["To"] = Address(addr_spec=envelope.recipient)
    message["Subject"] = content.subject
    message["Date"] = format_datetime(envelope.at)
    message["Message-ID"] = f"<{envelope.message_id}>"
    message["Auto-Submitted"] = "auto-generated"  # keeps replies of absent people away
    message.set_content(content.text, cte="quoted-printable")
    message.add_alternative(content.html, subtype="html", cte="quoted-printable")
    message["Content-Language"] = content.language  # last, because the parts would take it over
    return message


def report_id(day: date, recipient: str, sender: str) -> str:
    """Return the Message-ID of a report, without brackets. It is the same for every process and every try."""
    return f"report.{day.isoformat()}.{_short(recipient)}@{_domain(sender)}"


def notice_id(alert_id: int, phase: str, at: datetime, recipient: str, sender: str) -> str:
    """Return the Message-ID of a notice of an alert."""
    return f"alert.{alert_id}.{phase}.{int(at.timestamp())}.{_short(recipient)}@{_domain(sender)}"


def _short(recipient: str) -> str:
    return hashlib.sha256(recipient.lower().encode()).hexdigest()[:16]


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2]
