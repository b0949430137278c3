"""How the tests themselves are laid out."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def imported_modules(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_nothing_is_imported_from_a_module_of_tests_since_it_may_not_have_been_collected(path):
    taken = [module for module in imported_modules(path.read_text()) if module.rpartition(".")[2].startswith("test_")]

    assert taken == []
