"""The pages for readers: each table is one that a site shows as a table."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")
RULE = re.compile(r"^\|(?: *:?-+:? *\|)+$")


def cells(line: str) -> int:
    """How many cells a row of a table has."""
    return CODE.sub("", line.replace("\\|", "")).count("|") - 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_table_has_a_header_a_rule_and_rows_of_as_many_cells(page: Path) -> None:
    text = FENCED.sub("", page.read_text())
    assert not [line for line in text.splitlines() if "|---" in line and not RULE.match(line)], "a rule within a line"
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.strip("\n").splitlines()
        if not lines or not any(line.startswith("|") for line in lines):
            continue
        broken = [line for line in lines if not (line.startswith("|") and line.endswith("|"))]
        assert not broken, f"lines among the rows of a table: {broken}"
        assert RULE.match(lines[1]), f"no rule below {lines[0]}"
        assert not [line for line in lines if cells(line) != cells(lines[0])], f"rows of other lengths below {lines[0]}"
