"""`mailing token`: create, list and revoke tokens of programs."""

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access.roles import Role
from shared.cli.database import CommandFailed, origin_of, run_on_database
from shared.contracts import utc_now
from shared.ledger.audit import Subject, audit
from shared.ledger.tokens import CreatedToken, create_program_token, revoke_token

SUMMARY = "create, list and revoke tokens of programs"
DESCRIPTION = (
    "Manage the tokens with which programs call the API, in the database MAILING_DATABASE_URL. `create` prints "
    "the token on standard output; it is not shown again. A revoked token stops working within five seconds. Exit "
    "status: 0 done, 1 the command was refused, 2 there is no connection to the database."
)

_LIST = text("""
    -- list_tokens_for_command --
    SELECT id, name, role, hint, created_at, expires_at, used_at, revoked_at FROM tokens
    WHERE kind = 'api' ORDER BY id
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    creating = actions.add_parser("create", help="create a token and print it")
    creating.add_argument("name", help="name of the program, for the audit")
    creating.add_argument(
        "--role", type=Role, choices=list(Role), default=Role.OPERATOR, help="default: %(default)s"
    )
    creating.add_argument("--days", type=float, help="number of days until it expires; default: never")
    actions.add_parser("list", help="list all tokens, without their secrets")
    revoking = actions.add_parser("revoke", help="revoke a token")
    revoking.add_argument("id", type=int, help="id of the token, as `list` shows it")


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out and return the exit status."""
    match arguments.action:
        case "create":
            work = partial(create, name=arguments.name, role=arguments.role, days=arguments.days)
            return run_on_database("token", work, _show_created)
        case "list":
            return run_on_database("token", _list, _show_list)
        case _:
            return run_on_database("token", partial(_revoke, token_id=arguments.id), _show_revoked)


async def create(connection: AsyncConnection, *, name: str, role: Role, days: float | None = None) -> CreatedToken:
    """Create a token of a program."""
    expires_at = None if days is None else utc_now() + timedelta(days=days)
    return await create_program_token(connection, name, role, expires_at, origin_of("token.create"))


async def _list(connection: AsyncConnection) -> Sequence[Row[tuple[object, ...]]]:
    return (await connection.execute(_LIST)).all()


async def _revoke(connection: AsyncConnection, *, token_id: int) -> int:
    if not await revoke_token(connection, token_id, utc_now()):
        raise CommandFailed(f"there is no token {token_id}; `mailing token list` shows them")
    await audit(connection, origin_of("token.revoke"), Subject("token", token_id))
    return token_id


def _show_created(created: CreatedToken) -> None:
    print(created.secret)
    print(f"token {created.id} is created; it is not shown again", file=sys.stderr)


def _show_list(rows: Sequence[Row[tuple[object, ...]]]) -> None:
    for row in rows:
        state = "revoked" if row.revoked_at else f"expires {row.expires_at or 'never'}"
        print(f"{row.id:>6}  {row.role:<8}  …{row.hint}  {row.name}  used {row.used_at or 'never'}  {state}")


def _show_revoked(token_id: int) -> None:
    print(f"token {token_id} is revoked")
