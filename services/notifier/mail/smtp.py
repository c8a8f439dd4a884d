"""Sending of e-mail by SMTP, with TLS verified and every wait bounded."""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from enum import StrEnum
from pathlib import Path

import aiosmtplib
from pydantic import SecretStr

from shared.errors import MailingError

# Replies to a wrong password or a missing login. An operator can mend them, so the mail is tried again.
_LOGIN_REPLIES = frozenset({530, 534, 535, 538})
_LONGEST_REASON = 300
_QUIT_TIMEOUT = 2.0  # seconds


class SmtpSecurity(StrEnum):
    """Protection of the connection to the server."""

    STARTTLS = "starttls"  # begins in the clear, and ends if the server offers no TLS
    TLS = "tls"
    NONE = "none"  # for a server on the same machine


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Address of the server, how to connect, and for how long a mail may take in all."""

    host: str
    port: int
    security: SmtpSecurity
    timeout: timedelta
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    client_name: str | None = None  # in the greeting


class MailRefused(MailingError):
    """Raised when the server refuses this mail for good."""


class MailNotSent(MailingError):
    """Raised when the mail was not accepted now, or when it is not known. It may be tried again later."""


async def send_mail(server: SmtpServer, message: EmailMessage, sender: str, recipient: str) -> None:
    """Hand the message to the server, and return when it is accepted.

    Raises:
        MailRefused: the server refused it for good.
        MailNotSent: it may be tried again.
    """
    try:
        async with asyncio.timeout(server.timeout.total_seconds()):
            client = await _send(server, message, sender, recipient)
    except aiosmtplib.SMTPRecipientsRefused as error:
        refusal = error.recipients[0]
        raise _failure(refusal.code, f"recipient refused: {refusal.code} {refusal.message}") from error
    except aiosmtplib.SMTPResponseException as error:
        raise _failure(error.code, f"{error.code} {error.message}") from error
    except TimeoutError as error:
        raise MailNotSent("the server did not answer in time") from error
    except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
        raise MailNotSent(_line(f"{type(error).__name__}: {error}")) from error
    await _quit(client)


async def _send(server: SmtpServer, message: EmailMessage, sender: str, recipient: str) -> aiosmtplib.SMTP:
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.security is SmtpSecurity.TLS,
        start_tls=server.security is SmtpSecurity.STARTTLS,
        tls_context=_tls_context(server),
        timeout=server.timeout.total_seconds(),
        local_hostname=server.client_name,
    )
    try:
        await client.connect()
        if server.username is not None:
            password = server.password.get_secret_value() if server.password else ""
            await client.login(server.username, password)
        await client.sendmail(sender, [recipient], message.as_bytes())
    except aiosmtplib.SMTPException:
        await _quit(client)
        raise
    except BaseException:
        _abort(client)
        raise
    return client


async def _quit(client: aiosmtplib.SMTP) -> None:
    """Say goodbye. The mail is accepted or not by now, so nothing that goes wrong here may change it."""
    try:
        if client.is_connected:
            async with asyncio.timeout(_QUIT_TIMEOUT):
                await client.execute_command(b"QUIT")
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        pass
    _abort(client)
    await asyncio.sleep(0)  # lets the event loop close the socket


def _abort(client: aiosmtplib.SMTP) -> None:
    transport = client.transport
    client.close()
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


def _tls_context(server: SmtpServer) -> ssl.SSLContext | None:
    if server.security is SmtpSecurity.NONE:
        return None
    return ssl.create_default_context(cafile=server.ca_file)


def _failure(code: int, reason: str) -> MailingError:
    is_final = 500 <= code < 600 and code not in _LOGIN_REPLIES
    return MailRefused(_line(reason)) if is_final else MailNotSent(_line(reason))


def _line(reason: str) -> str:
    return " ".join(reason.split())[:_LONGEST_REASON]
