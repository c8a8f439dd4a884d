"""Docstrings begin with a verb, or with the noun that names the thing, so that a stranger understands them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FILES = sorted(
    file for folder in ("services", "shared", "deploy", "tests") for file in (REPOSITORY / folder).rglob("*.py")
)
_OBSCURE = re.compile(r"(?:What|Whether|Those|Of|How|The same|Whose|Who|Whatever)\b")

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def obscure_docstrings(source: str) -> Iterator[str]:
    """Yield the docstrings that begin with a word that names nothing."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented):
            docstring = ast.get_docstring(node)
            if docstring and _OBSCURE.match(docstring):
                yield docstring


def test_no_docstring_begins_with_a_word_that_names_nothing() -> None:
    found = {str(file.relative_to(REPOSITORY)): list(obscure_docstrings(file.read_text())) for file in FILES}
    assert {name: docstrings for name, docstrings in found.items() if docstrings} == {}


@pytest.mark.parametrize(
    ("docstring", "is_obscure"),
    [("What is left.", True), ("Of all jobs.", True), ("Return what is left.", False), ("Offer a job.", False)],
)
def test_an_obscure_docstring_would_be_found(docstring: str, is_obscure: bool) -> None:
    source = f'def f():\n    """{docstring}"""\n'
    assert bool(list(obscure_docstrings(source))) is is_obscure
