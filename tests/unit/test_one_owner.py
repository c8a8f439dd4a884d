"""Every table is written by the ledger's module of its noun, and by nothing else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.ledger import access_tables, notifier_tables  # noqa: F401 - their tables belong to the metadata
from shared.ledger.tables import Table

REPOSITORY = Path(__file__).parents[2]
MIGRATIONS = REPOSITORY / "shared" / "ledger" / "migrations"

OWNERS = {
    "alerts": {"alerts"},
    "attempts": {"attempts"},
    "audit": {"audit"},
    "clients": {"clients", "client_imports"},  # one by one, and by an import
    "counters": {"counters"},
    "deliveries": {"deliveries"},
    "epochs": {"epochs"},
    "idempotency_keys": {"idempotency_keys"},
    "login_failures": {"login_failures"},
    "jobs": {"dealing", "jobs"},  # dealing: a part of the statements of bulk_messages
    "mailings": {"mailings", "mailing_progress"},  # by users, and by the planner
    "mails": {"mails"},
    "messages": {"messages", "bulk_messages"},  # one by one, and thousands at once
    "outbox": {"outbox"},
    "paces": {"paces"},
    "progress": {"progress"},
    "spent_nonces": {"spent_nonces"},
    "tokens": {"tokens"},
    "users": {"users"},
    "webhooks": {"webhooks"},
    "stops": {"stop_list"},
    "staging": {"client_imports"},  # a temporary table of each import
}
# Statements that write several tables at once: the module, its tables, and the reason.
SEVERAL_TABLES = {
    "mailings": ({"counters"}, "A mailing never exists without its counters."),
    "messages": ({"attempts"}, "The attempts of a message are removed with it."),
    "single_messages": (
        {"mailings", "counters", "jobs", "messages"},
        "A single message is urgent, so all of its rows are created in one round trip.",
    ),
}

_WRITES = re.compile(
    r"\b(?:INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?|UPDATE(?=\s+[\w{}]+(?:\s+\w+){0,2}\s+SET\b)"
    r"|COPY(?=[^;]*\bFROM\b))\s+(?:ONLY\s+)?([\w{}]+)",
    re.IGNORECASE,
)
_NAME = re.compile(r"\s*-- [a-z_]+ --\n")
_CONSTRUCTS = {"insert", "update", "delete"}


class Write(NamedTuple):
    """A place that writes a table. `table` is `?` for an expression of SQLAlchemy."""

    path: Path
    line: int
    table: str


def find_writes(path: Path, source: str) -> Iterator[Write]:
    """Find writing SQL in strings, and SQLAlchemy's insert, update and delete."""
    tree = ast.parse(source)
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    inner: set[int] = set()  # parts of a string that was looked at as a whole
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sqlalchemy":
            for alias in node.names:
                if alias.name in _CONSTRUCTS:
                    yield Write(path, node.lineno, "?")
        if isinstance(node, ast.Call) and is_construct(node.func):
            yield Write(path, node.lineno, "?")
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp) and id(node) not in inner | docstrings:
            inner |= {id(part) for part in ast.walk(node)}
            for found in _WRITES.finditer(text_of(node)):
                yield Write(path, node.lineno, found[1])


def is_construct(function: ast.expr) -> bool:
    """Return True for functions such as `sqlalchemy.insert` and `Client.__table__.insert`."""
    match function:
        case ast.Attribute(value=ast.Name(id="sqlalchemy" | "sa") | ast.Attribute(attr="__table__"), attr=name):
            return name in _CONSTRUCTS
        case _:
            return False


def text_of(node: ast.expr) -> str:
    """Return the text of a string expression, with `{}` for each part that is only known at run time."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(map(text_of, values))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text_of(left) + text_of(right)
        case _:
            return "{}"


def sources() -> Iterator[tuple[Path, str]]:
    for folder in ("services", "shared"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            if not path.is_relative_to(MIGRATIONS):
                yield path, path.read_text(encoding="utf-8")


def is_allowed(write: Write) -> bool:
    """Return True if the module may write the table."""
    if write.path.parent != REPOSITORY / "shared" / "ledger":
        return False
    module = write.path.stem
    return module in OWNERS.get(write.table, set()) or write.table in SEVERAL_TABLES.get(module, (set(), ""))[0]


WRITES = [write for path, source in sources() for write in find_writes(path, source)]


def test_only_its_owner_writes_a_table() -> None:
    assert [write for write in WRITES if not is_allowed(write)] == []


def test_every_table_has_an_owner() -> None:
    assert OWNERS.keys() - {"staging"} == Table.metadata.tables.keys()


def test_every_owner_writes_its_table() -> None:
    written = {(write.path.stem, write.table) for write in WRITES}
    claimed = {(module, table) for table, modules in OWNERS.items() for module in modules}
    claimed |= {(module, table) for module, (tables, _) in SEVERAL_TABLES.items() for table in tables}
    assert claimed - written == set()


def test_the_api_reads_tables_in_modules_of_queries() -> None:
    for path in sorted((REPOSITORY / "services" / "api").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "sqlalchemy":
                names = {alias.name for alias in node.names}
                assert not names & {"text", "select"} or path.stem.endswith("queries"), f"{path}:{node.lineno}"


def test_every_writing_statement_has_a_name() -> None:
    for path, source in sources():
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Call(func=ast.Name(id="text"), args=[statement]) if _WRITES.search(text_of(statement)):
                    assert _NAME.match(text_of(statement)), f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    ("source", "table"),
    [
        ('_CREATE = text("INSERT INTO clients (number) VALUES (1)")', "clients"),
        ('_CHANGE = text("""\n    UPDATE jobs AS j\n    SET open = 0\n""")', "jobs"),
        ('_DELETE = "DELETE FROM " + "outbox"', "outbox"),
        ('_MOVE = f"WITH a AS (UPDATE messages SET {columns}) SELECT 1"', "messages"),
        ('_ANY = f"INSERT INTO {table} VALUES (1)"', "{}"),
        ('_COPY = "COPY clients (number, tag) FROM STDIN"', "clients"),
        ('_MERGE = "MERGE INTO paces USING given ON true"', "paces"),
        ('_EMPTY = "truncate attempts"', "attempts"),
        ("from sqlalchemy import select, update", "?"),
        ("from sqlalchemy.dialects.postgresql import insert", "?"),
        ("sqlalchemy.delete(Client)", "?"),
        ("Client.__table__.insert()", "?"),
    ],
)
def test_writing_sql_elsewhere_is_found(source: str, table: str) -> None:
    [write] = find_writes(REPOSITORY / "services" / "api" / "planted.py", source)
    assert write.table == table
    assert not is_allowed(write)


@pytest.mark.parametrize(
    "source",
    [
        'text("SELECT id FROM jobs ORDER BY id FOR UPDATE SKIP LOCKED")',
        'text("SELECT id FROM mailings FOR NO KEY UPDATE OF m")',
        'SQL("COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)")',
        "values.update(given)",
        'def explain() -> None:\n    """UPDATE jobs SET open = 0."""',
    ],
)
def test_reading_is_no_writing(source: str) -> None:
    assert [*find_writes(REPOSITORY / "services" / "api" / "planted.py", source)] == []


def test_another_module_of_the_ledger_does_not_own_the_table() -> None:
    [write] = find_writes(REPOSITORY / "shared" / "ledger" / "clients.py", 'text("DELETE FROM outbox")')
    assert not is_allowed(write)
