"""Patterns match the same on every Python that is supported."""

import ast
import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
# Python 3.11.2, which Debian has, does not match a possessive repetition of a group.
POSSESSIVE = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")


def test_no_pattern_repeats_a_group_possessively() -> None:
    assert POSSESSIVE.search(r"(?:a|b)*+") and not POSSESSIVE.search(r"(?:a|b)*\+")
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and POSSESSIVE.search(node.value)
    ]
    assert found == []
