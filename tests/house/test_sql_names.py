"""Tables in SQL have names that say what a row is: a letter says nothing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
# A table, or a SELECT in its place, under the name of one letter. A column may have one, as in a formula.
LETTER = re.compile(
    r"\b(?:FROM|JOIN|UPDATE|USING)\s+[\w.{}\"]+\s+(?:AS\s+)?[a-z]\b(?!\w)"
    r"|\)\s+AS\s+[a-z]\b(?=\s*(?:\(|\)|ON\b|USING\b|WHERE\b|(?:(?:LEFT|INNER|CROSS|FULL)\s+)?JOIN\b|$))"
)
# Members and events of the SDKs begin with k and a dot.
QUALIFIED = re.compile(r"(?<![\\\w.'{])(?!e\.g\.|i\.e\.|k\.)[a-z]\.(?=[a-z_*\"{])|\bFOR UPDATE OF [a-z]\b")


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every text but docstrings, with its line; the expressions in one are left out."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    formatted = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in formatted for part in node.values}
    for node in formatted:
        yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            yield node.lineno, node.value


def letters(tree: ast.Module) -> list[int]:
    """Lines of texts in which a table goes by a letter."""
    return [line for line, text in texts(tree) if LETTER.search(text) or QUALIFIED.search(text)]


def test_tables_go_by_names() -> None:
    paths = [path for path in sorted(SOURCE.rglob("*.py")) if "versions" not in path.parts]
    wrong = [f"{path.relative_to(SOURCE)}:{line}" for path in paths for line in letters(ast.parse(path.read_text()))]
    assert not wrong


def test_every_form_is_seen_and_no_other() -> None:
    wrong = [
        "SELECT f.id FROM firings AS f",
        "SELECT 1 FROM firings f WHERE true",
        "DELETE FROM firings AS f USING looking",
        "SELECT 1 FROM ({inner}) AS r",
        "{drawn} AND s.lot > 1",
        "FROM json_to_recordset(CAST(:rows AS json)) AS g(t int)",
        "FOR UPDATE OF f",
    ]
    for text in wrong:
        assert letters(ast.parse(f"a = {text!r}")) and letters(ast.parse(f"a = f{text!r}")), text
    right = ["SELECT toFloat64(days) AS x, count() AS n FROM cells", "A table, e.g. of firings.", "'v.w', i.e. nothing"]
    for text in right:
        assert not letters(ast.parse(f"a = {text!r}")), text
    assert not letters(ast.parse('"""FROM firings AS f"""'))
