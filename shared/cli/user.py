"""`mailing user`: create, list and disable users, and make one-time links for them."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access.passwords import hash_password
from shared.access.roles import Role
from shared.cli.database import CommandFailed, origin_of, run_on_database
from shared.contracts import utc_now
from shared.ledger.audit import Subject, audit
from shared.ledger.tokens import CreatedToken, create_link, revoke_tokens_of_user
from shared.ledger.users import LoginExists, NewUser, UserRow, change_user, create_user

SUMMARY = "create, list and disable users, and make one-time links"
DESCRIPTION = (
    "Manage the people who may sign in, in the database MAILING_DATABASE_URL. `create` reads a password from "
    "standard input with --password-stdin; without it, the user signs in by a link. `link` prints a token that "
    "signs the user in once, within 15 minutes. Exit status: 0 done, 1 the command was refused, 2 there is no "
    "connection to the database."
)

_LIST = text("""
    -- list_users_for_command --
    SELECT id, login, name, role, disabled_at, signed_in_at FROM users ORDER BY id
""")

_FIND = text("""
    -- find_login_for_command --
    SELECT id, login FROM users WHERE lower(login) = lower(:login)
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    creating = actions.add_parser("create", help="create a user")
    creating.add_argument("login")
    creating.add_argument("--name", help="full name; default: the login")
    creating.add_argument(
        "--role", type=Role, choices=list(Role), default=Role.OPERATOR, help="default: %(default)s"
    )
    creating.add_argument("--password-stdin", action="store_true", help="read a password from standard input")
    actions.add_parser("list", help="list all users")
    for action, summary in (
        ("disable", "sign a user out, and let nobody sign in with this login"),
        ("enable", "let a disabled user sign in again"),
        ("link", "print a token that signs the user in once, within 15 minutes"),
    ):
        actions.add_parser(action, help=summary).add_argument("login")


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out and return the exit status."""
    match arguments.action:
        case "create":
            try:
                password_hash = _read_password() if arguments.password_stdin else None
            except ValueError as error:
                print(f"user: {error}", file=sys.stderr)
                return 1
            new = NewUser(
                arguments.login, arguments.name or arguments.login, arguments.role, password_hash=password_hash
            )
            return run_on_database("user", partial(create, new=new), _show_created)
        case "list":
            return run_on_database("user", _list, _show_list)
        case "link":
            return run_on_database("user", partial(make_link, login=arguments.login), _show_link)
        case action:
            work = partial(_set_disabled, login=arguments.login, disabled=action == "disable")
            return run_on_database("user", work, lambda _: print(f"user {arguments.login} is {action}d"))


async def create(connection: AsyncConnection, *, new: NewUser) -> UserRow:
    """Create a user. Raises CommandFailed if the login is taken."""
    try:
        user = await create_user(connection, new)
    except LoginExists as error:
        raise CommandFailed(f"the login {new.login} is taken; `mailing user list` shows all users") from error
    after = {"login": new.login, "name": new.name, "role": new.role}
    await audit(connection, origin_of("user.create"), Subject("user", user.id, after=after))
    return user


async def make_link(connection: AsyncConnection, *, login: str) -> CreatedToken:
    """Create the token of a one-time link. Raises CommandFailed if there is no such user."""
    user_id = await _find(connection, login)
    return await create_link(connection, user_id, login, utc_now(), origin_of("user.link"))


async def _list(connection: AsyncConnection) -> Sequence[Row[tuple[object, ...]]]:
    return (await connection.execute(_LIST)).all()


async def _set_disabled(connection: AsyncConnection, *, login: str, disabled: bool) -> None:
    user_id = await _find(connection, login)
    await change_user(connection, user_id, {"disabled": disabled})
    if disabled:
        await revoke_tokens_of_user(connection, user_id, utc_now())
    operation = "user.disable" if disabled else "user.enable"
    await audit(connection, origin_of(operation), Subject("user", user_id))


async def _find(connection: AsyncConnection, login: str) -> int:
    user_id: int | None = (await connection.execute(_FIND, {"login": login})).scalar_one_or_none()
    if user_id is None:
        raise CommandFailed(f"there is no user {login}; `mailing user list` shows all users")
    return user_id


def _read_password() -> str:
    """Read one line and return its hash. Raises ValueError if it is too short or too long."""
    return hash_password(sys.stdin.readline().rstrip("\n"))


def _show_created(user: UserRow) -> None:
    print(f"user {user.id} is created with the login {user.login} and the role {user.role}")


def _show_link(created: CreatedToken) -> None:
    print(created.secret)
    print("the token works once, within 15 minutes: POST it to /api/session/link/", file=sys.stderr)


def _show_list(rows: Sequence[Row[tuple[object, ...]]]) -> None:
    for row in rows:
        state = "disabled" if row.disabled_at else f"signed in {row.signed_in_at or 'never'}"
        print(f"{row.id:>6}  {row.role:<8}  {row.login}  {row.name}  {state}")
