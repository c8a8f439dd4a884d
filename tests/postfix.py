"""Postfix for tests: a real mail server with its own configuration, queue and port."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from deploy.local.packages import apt_install, can_apt_install, exclusive
from deploy.local.ports import HOST, accepts, free_ports

PROGRAM = Path("/usr/sbin/postfix")
UNITS = ("postfix.service",)
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = mail.example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = example.org
virtual_mailbox_base = {folder}/boxes
virtual_mailbox_maps = inline:{{ {{ anna@example.org = anna/ }} {{ grey@example.org = grey/ }} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {folder}/server.pem
smtpd_tls_key_file = {folder}/server.pem
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ grey@example.org = DEFER greylisted }} }}
smtpd_peername_lookup = no
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running server: it knows anna@example.org, and puts grey@example.org off."""

    port: int
    ca_file: Path
    boxes: Path

    def mails_of(self, name: str) -> list[bytes]:
        """Return the mails in somebody's mailbox."""
        return [file.read_bytes() for file in sorted((self.boxes / name / "new").glob("*"))]


def why_no_postfix() -> str | None:
    """Return None if Postfix is here or can be installed."""
    if os.geteuid() != 0:
        return "Postfix starts as root only"
    return None if PROGRAM.exists() or can_apt_install() else "Postfix cannot be installed here"


def install_postfix(log: Path) -> None:
    """Install Debian's package if it is not there; nothing of it is started."""
    with exclusive(log):
        if not PROGRAM.exists():
            apt_install("postfix", log, UNITS)


@contextmanager
def running_postfix(folder: Path) -> Iterator[Postfix]:
    """Run a server on a free port, with everything of its own in the folder."""
    [port] = free_ports(1)
    authority, postfix = trustme.CA(), Postfix(port, folder / "ca.pem", folder / "boxes")
    authority.cert_pem.write_to_path(str(postfix.ca_file))
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    boxes = 65534  # the user nobody
    for name in ("conf", "queue", "data", "boxes"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    os.chown(folder / "boxes", boxes, boxes)
    (folder / "conf" / "main.cf").write_text(_MAIN.format(folder=folder, uid=boxes, gid=boxes))
    (folder / "conf" / "master.cf").write_text(_MASTER.format(port=port))
    command = [str(PROGRAM), "-c", str(folder / "conf")]
    process = subprocess.Popen([*command, "start-fg"], stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not accepts(port):
            assert process.poll() is None, (folder / "mail.log").read_text()
            assert time.monotonic() < deadline, "Postfix did not start"
            time.sleep(0.1)
        yield postfix
    finally:
        subprocess.run([*command, "stop"], check=False, capture_output=True, timeout=30)
        process.wait(timeout=30)
