"""Folder for a server that cannot work at every path: RabbitMQ fails at letters beyond ASCII, and at spaces."""

import hashlib
import os
import re
from pathlib import Path

from deploy.local.errors import StartError

PLAIN = re.compile(r"[!-~]+")  # printable ASCII without the space
ELSEWHERE = Path("/var/tmp")  # noqa: S108 - kept over a restart; the folder is private and its owner is checked


def plain_folder(folder: Path) -> Path:
    """Make the folder and return its path, or the path of another folder to which a link at `folder` leads."""
    if PLAIN.fullmatch(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    target = ELSEWHERE / f"mailing-{os.geteuid()}-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    target.mkdir(mode=0o700, exist_ok=True)
    if target.is_symlink() or target.stat().st_uid != os.geteuid():
        raise StartError(f"{target} belongs to another user: remove it, or move the project to an ASCII path")
    if not folder.is_symlink():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(target)
    return target
