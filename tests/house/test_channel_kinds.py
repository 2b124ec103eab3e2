"""Only `channels` knows which kinds of channels there are: everybody else asks a channel's kind."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapport.channels.kinds.registry import KINDS

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
NAMES = "|".join(KINDS)
# SQL that does the same: kind = 'email', c.kind NOT IN ('email', ...), CASE c.kind WHEN 'email'.
IN_SQL = re.compile(
    rf"\bkind\s*(?:(?:=|<>|!=|LIKE)\s*|IN\s*\([^)]*|NOT\s+IN\s*\([^)]*|WHEN\s[^;]*)'(?:{NAMES})'", re.IGNORECASE
)


def sources() -> list[Path]:
    """All modules but those of channels, and the steps of the records' schema, which stay as they were."""
    everything = ((path, path.relative_to(SOURCE).parts) for path in sorted(SOURCE.rglob("*.py")))
    return [path for path, parts in everything if parts[0] != "channels" and "versions" not in parts]


def constants(trees: list[ast.Module]) -> set[str]:
    """The names of a module's or class's variables that stand for a kind's name."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Assign | ast.AnnAssign) and _names_a_kind(node.value, set()):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def told_apart(tree: ast.Module, stand_for_kinds: set[str]) -> Iterator[int]:
    """The lines that compare a kind with the name of one, in Python or in SQL."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(map(_is_kind, sides)) and any(_names_a_kind(side, stand_for_kinds) for side in sides):
                yield node.lineno
        elif isinstance(node, ast.Match) and _is_kind(node.subject):
            patterns = (one for case in node.cases for one in ast.walk(case.pattern) if isinstance(one, ast.MatchValue))
            yield from (one.lineno for one in patterns if _names_a_kind(one.value, stand_for_kinds))
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict) and _is_kind(node.slice):
            yield from (node.lineno for key in node.value.keys if _names_a_kind(key, stand_for_kinds))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and IN_SQL.search(node.value):
            yield node.lineno


def _is_kind(node: ast.expr) -> bool:
    called = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return called == "kind" or called.endswith("_kind")


def _names_a_kind(node: ast.expr | None, stand_for_kinds: set[str]) -> bool:
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(_names_a_kind(one, stand_for_kinds) for one in node.elts)
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr) in stand_for_kinds
    return isinstance(node, ast.Constant) and node.value in KINDS


def test_nobody_but_channels_tells_kinds_apart() -> None:
    trees = {path: ast.parse(path.read_text()) for path in sources()}
    known = constants(list(trees.values()))
    found = [
        f"{path.relative_to(SOURCE)}:{line}" for path, tree in trees.items() for line in sorted(told_apart(tree, known))
    ]
    assert not found, f"ask the channel's behaviour instead: {found}"


@pytest.mark.parametrize(
    "code",
    [
        "if channel.kind == 'email': pass",
        "found = {one.id for one in channels if 'external' != one.kind}",
        "if channels.channel(scope, 1).kind in ('sms', 'external'): pass",
        "EXTERNAL = 'external'\nif ways[1].kind is not EXTERNAL: pass",
        "OWN = {'email'}\nif kind not in OWN: pass",
        "if kind == constants.EXTERNAL: pass\nEXTERNAL: str = 'external'",
        "match channel.kind:\n    case 'sms' | 'email': pass",
        "url = {'email': 1, 'external': 2}[channel.kind]",
        "sql = \"SELECT 1 FROM channels AS c WHERE c.kind <> 'external'\"",
        "sql = f\"SELECT CASE c.kind WHEN 'email' THEN {one} END\"",
        "sql = \"WHERE kind NOT IN ('sms', 'external')\"",
    ],
)
def test_what_tells_kinds_apart_is_seen(code: str) -> None:
    tree = ast.parse(code)
    assert list(told_apart(tree, constants([tree])))


@pytest.mark.parametrize(
    "code",
    [
        "if channel.kind == other.kind: pass",
        "if stage.kind != 'active': pass",
        "create_channel(scope, 'Email', 'email')",
        "if name == 'email': pass",
        "if channel.behaviour.is_pulled: pass",
        "sql = \"WHERE kind = :kind AND name = 'email'\"",
    ],
)
def test_what_does_not_is_let_be(code: str) -> None:
    tree = ast.parse(code)
    assert not list(told_apart(tree, constants([tree])))
