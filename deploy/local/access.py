"""Access to a system that runs on this machine: a token for our own calls, and a one-time link for a person."""

import asyncio
import os
from functools import partial
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.local.stack import Servers
from shared.access.roles import Role
from shared.cli import token, user
from shared.cli.database import CommandFailed, in_transaction
from shared.ledger.users import NewUser

LOGIN = "admin"  # without a password: this user signs in by links only


def create_admin_token(servers: Servers, name: str) -> str:
    """Create a token with the role admin that expires after a day, and return it."""
    work = partial(token.create, name=name, role=Role.ADMIN, days=1)
    return asyncio.run(in_transaction(SecretStr(servers.database_url), work)).secret


def create_admin_link(servers: Servers, console_url: str) -> str:
    """Return the address at which a person can sign in to the console once, within 15 minutes."""
    link = asyncio.run(in_transaction(SecretStr(servers.database_url), _make_link))
    return f"{console_url}/sign-in/link/{link}"


def write_token(token: str, file: Path) -> Path:
    """Write the token to a file that only its owner can read, and return the file."""
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(token + "\n")
    return file


async def _make_link(connection: AsyncConnection) -> str:
    try:
        created = await user.make_link(connection, login=LOGIN)
    except CommandFailed:  # the first run
        await user.create(connection, new=NewUser(LOGIN, LOGIN, Role.ADMIN))
        created = await user.make_link(connection, login=LOGIN)
    return created.secret
