"""Only `conditions/histories` knows which histories there are: everybody else asks a history."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapport.conditions.histories.registry import HISTORIES

SOURCE = Path(__file__).parents[2] / "src" / "rapport"


def sources() -> list[Path]:
    """All modules but those of histories, and the steps of the records' schema, which stay as they were."""
    own = SOURCE / "conditions" / "histories"
    return [path for path in sorted(SOURCE.rglob("*.py")) if own not in path.parents and "versions" not in path.parts]


def constants(trees: list[ast.Module]) -> set[str]:
    """The names of variables that stand for the name of a history, or for a table keyed by such names."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Assign | ast.AnnAssign) and (_is_named(node.value, set()) or _keys(node.value, set())):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def told_apart(tree: ast.Module, named: set[str]) -> Iterator[int]:
    """The lines that compare a history with the name of one, or look it up in a table of such names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(map(_is_history, sides)) and any(_is_named(side, named) for side in sides):
                yield node.lineno
        elif isinstance(node, ast.Match) and _is_history(node.subject):
            patterns = (one for case in node.cases for one in ast.walk(case.pattern) if isinstance(one, ast.MatchValue))
            yield from (one.lineno for one in patterns if _is_named(one.value, named))
        elif isinstance(node, ast.Subscript) and _is_history(node.slice) and _keys(node.value, named):
            yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            yield from (node.lineno for key in node.args[:1] if _is_history(key) and _keys(node.func.value, named))


def _is_history(node: ast.expr) -> bool:
    """Whether an expression is called history: node.history, history.name, data["history"]."""
    if isinstance(node, ast.Attribute) and node.attr == "name":
        return _is_history(node.value)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value == "history"
    called = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return called == "history" or called.endswith("_history")


def _is_named(node: ast.expr | None, named: set[str]) -> bool:
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(_is_named(one, named) for one in node.elts)
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr) in named
    return isinstance(node, ast.Constant) and node.value in HISTORIES


def _keys(node: ast.expr | None, named: set[str]) -> bool:
    if isinstance(node, ast.Dict):
        return any(_is_named(key, named) for key in node.keys)
    return isinstance(node, ast.Name | ast.Attribute) and _is_named(node, named)


def test_nobody_but_histories_tells_them_apart() -> None:
    trees = {path: ast.parse(path.read_text()) for path in sources()}
    named = constants(list(trees.values()))
    found = [
        f"{path.relative_to(SOURCE)}:{line}" for path, tree in trees.items() for line in sorted(told_apart(tree, named))
    ]
    assert not found, f"say it in the history instead: {found}"


@pytest.mark.parametrize(
    "code",
    [
        "if node.history == 'transactions': pass",
        "if 'activity' != history.name: pass",
        "if data['history'] in ('campaigns', 'interactions'): pass",
        "OWN = {'campaigns'}\nif leaf.history not in OWN: pass",
        "READERS = {'activity': 1, 'campaigns': 2}\nread = READERS[node.history]",
        "rule = {'transactions': 1}.get(self.node.history)",
        "match history.name:\n    case 'activity' | 'other': pass",
    ],
)
def test_what_tells_histories_apart_is_seen(code: str) -> None:
    tree = ast.parse(code)
    assert list(told_apart(tree, constants([tree])))


@pytest.mark.parametrize(
    "code",
    [
        "if node.history == history.name: pass",
        "example = {'history': 'transactions', 'window': {'days': 7}}",
        "if kind.name == 'activity': pass",
        "found = HISTORIES[node.history]",
        "FROM_FILES = {'activity': 1}\nused = FROM_FILES.get(plan.kind.name)",
    ],
)
def test_what_does_not_is_let_be(code: str) -> None:
    tree = ast.parse(code)
    assert not list(told_apart(tree, constants([tree])))
