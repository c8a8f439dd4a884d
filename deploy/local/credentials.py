"""Passwords of private servers: random, made once per state folder, readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def password_in(file: Path) -> str:
    """The password kept in `file`, which is made if it does not exist."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, secrets.token_hex(16))
    return file.read_text().strip()


def write_private(file: Path, text: str) -> None:
    """Replaces the file in one step: a half-written one is never seen, nor one that others may read."""
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(f"{text}\n" if not text.endswith("\n") else text)
    draft.replace(file)
