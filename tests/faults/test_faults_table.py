"""The page of faults has all of them, and speaks of tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "faults.md"
ROWS = set(range(1, 34))


def all_tests() -> dict[str, set[int]]:
    """Return name -> rows of each test of faults."""
    found: dict[str, set[int]] = {}
    for path in FOLDER.glob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        whole = rows_of(
            statement.value
            for statement in tree.body
            if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "pytestmark"
        )
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.setdefault(node.name, set()).update(whole, rows_of(node.decorator_list))
    return found


def rows_of(nodes) -> set[int]:
    """Return the rows of the marks in some expressions."""
    calls = (call for node in nodes for call in ast.walk(node) if isinstance(call, ast.Call))
    marks = (call for call in calls if ast.unparse(call.func).endswith("mark.fault"))
    return {call.args[0].value for call in marks}


def test_every_fault_is_made_by_a_test():
    assert set().union(*all_tests().values()) == ROWS


def test_the_page_has_every_fault_and_every_test_in_it_exists():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d+ \|", line)]
    rows = {int(line.split("|")[1]): line for line in lines}
    assert set(rows) == ROWS
    there = all_tests()
    for row, line in rows.items():
        named = re.findall(r"`(test_\w+)`", line.split("|")[3])
        assert named, f"row {row} names no test"
        for name in named:
            assert row in there[name], f"{name} is no test of row {row}"
