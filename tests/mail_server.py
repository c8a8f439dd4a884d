"""SMTP server for tests, whose answers are scripted."""

import ssl
import time
from asyncio import Server
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = "mailing", "secret"
HANG_UP = "hang up"  # a scripted answer: the connection ends instead


@dataclass(slots=True)
class Received:
    """A mail that was accepted: when, from which client, and encrypted or not."""

    recipient: str
    message: EmailMessage
    client_name: str
    is_encrypted: bool
    at: float = field(default_factory=time.time)

    @property
    def message_id(self) -> str:
        return str(self.message["Message-ID"])


@dataclass(slots=True)
class MailServer:
    """Mails that were received, and the next answers to RCPT and DATA. After these, everything is accepted."""

    received: list[Received] = field(default_factory=list)
    to_rcpt: deque[str] = field(default_factory=deque)
    to_data: deque[str] = field(default_factory=deque)
    port: int = 0
    ca_file: Path | None = None

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        if self.to_rcpt:
            return self.to_rcpt.popleft()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self.to_data.popleft() if self.to_data else "250 accepted"
        if answer.startswith("2"):
            message = message_from_bytes(envelope.content, policy=default)
            for recipient in envelope.rcpt_tos:
                self.received.append(Received(recipient, message, session.host_name, session.ssl is not None))
        if answer == HANG_UP:
            server.transport.abort()
        return answer


class _Controller(Controller):
    """Server in a thread, on a free port."""

    def _trigger_server(self) -> None:
        """Connect to the port that was found."""
        self.port = self.bound_port()
        super()._trigger_server()  # type: ignore[no-untyped-call] # the library has no types here

    def bound_port(self) -> int:
        assert isinstance(self.server, Server)
        port: int = self.server.sockets[0].getsockname()[1]
        return port


@contextmanager
def mail_server(folder: Path, *, encrypted: bool = True, login: bool = False) -> Iterator[MailServer]:
    """Run a server on a free port. Encrypted, it offers STARTTLS with a certificate of its own authority."""
    answering = MailServer()
    context = None
    if encrypted:
        authority = trustme.CA()
        answering.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(answering.ca_file))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        is_right = data == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)

    controller = _Controller(
        answering,
        hostname="127.0.0.1",
        port=0,
        tls_context=context,
        require_starttls=encrypted,
        authenticator=authenticate,
        auth_required=login,
        auth_require_tls=encrypted,
    )
    controller.start()
    try:
        answering.port = controller.bound_port()
        yield answering
    finally:
        controller.stop()
