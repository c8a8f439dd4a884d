"""Mails through Postfix, a server of the kind that operators run."""

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from services.notifier.mail.messages import Content, Envelope, compose
from services.notifier.mail.smtp import MailNotSent, MailRefused, SmtpSecurity, SmtpServer, send_mail
from tests.integration.api_client import eventually
from tests.postfix import PROGRAM, Postfix, install_postfix, running_postfix, why_no_postfix
from tests.servers import REPOSITORY

SENDER = "mailing@example.com"
pytestmark = pytest.mark.timeout(300)  # the installation of the package takes up to some minutes


@pytest.fixture(scope="module")
def postfix() -> Iterator[Postfix]:
    if (reason := why_no_postfix()) is not None:
        pytest.skip(reason)
    install_postfix(REPOSITORY / ".local" / "install.log")
    if not PROGRAM.exists():
        pytest.skip("Postfix could not be installed")
    with tempfile.TemporaryDirectory(prefix="mailing-postfix-") as folder:
        os.chmod(folder, 0o755)  # Postfix gives its privileges up
        with running_postfix(Path(folder)) as running:
            yield running


async def send(postfix: Postfix, recipient: str) -> None:
    server = SmtpServer(
        "127.0.0.1", postfix.port, SmtpSecurity.STARTTLS, timedelta(seconds=30), ca_file=postfix.ca_file
    )
    envelope = Envelope(SENDER, recipient, "report.1@example.com", datetime(2026, 11, 25, 9, tzinfo=UTC))
    content = Content("Отчёт за день", "Отправлено 48 213\n", "<p>Отправлено <b>48 213</b></p>", "ru")
    await send_mail(server, compose(envelope, content), SENDER, recipient)


async def test_a_mail_arrives_as_it_was_composed(postfix: Postfix) -> None:
    await send(postfix, "anna@example.org")

    async def arrived() -> list[bytes] | None:
        return postfix.mails_of("anna") or None

    [mail] = await eventually(arrived)
    message = message_from_bytes(mail, policy=default)
    assert message["Message-ID"] == "<report.1@example.com>"
    assert message["Subject"] == "Отчёт за день"
    assert "with ESMTPS" in str(message["Received"]), "encrypted"
    html = message.get_body(("html",))
    assert html is not None
    assert "<b>48 213</b>" in html.get_content()


async def test_a_recipient_that_is_put_off_may_be_tried_again(postfix: Postfix) -> None:
    with pytest.raises(MailNotSent, match="450"):
        await send(postfix, "grey@example.org")


@pytest.mark.parametrize("recipient", ["nobody@example.org", "somebody@example.net"])
async def test_an_unknown_recipient_and_another_domain_are_refused_for_good(
    postfix: Postfix, recipient: str
) -> None:
    with pytest.raises(MailRefused, match=r"5\d\d"):
        await send(postfix, recipient)
