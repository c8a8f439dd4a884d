"""Passwords of private servers: random, one per state folder, readable by the owner only."""

import os
import secrets
from pathlib import Path


def password_in(file: Path) -> str:
    """Return the password in `file`; make the file if it does not exist."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, secrets.token_hex(16))
    return file.read_text().strip()


def write_private(file: Path, text: str) -> None:
    """Replace the file in one step, so that nobody sees half of it and no other user can read it."""
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(f"{text}\n" if not text.endswith("\n") else text)
    draft.replace(file)
