"""States, outcomes and where things come from are members of enums, in Python and in SQL."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
# What is a member of an enum wherever it has one of these names.
NAMES = ("state", "status", "outcome", "verdict", "callback_state", "source", "mode")
COMPARED = re.compile(rf"\b(?:{'|'.join(NAMES)})\s*(?:=|<>|!=|NOT IN|IN)\s*\(?'[a-zA-Z][a-zA-Z_ ]*'")
# Modules with words of their own for one of these, and why no enum holds them.
OWN_WORDS = {
    "channels/messages.py": "a Literal, which the type checker holds",
    "customers/importing/load_checks.py": "a Literal, which the type checker holds",
    "api/manage/data/attributes.py": "a Literal, which the type checker holds",
    "commands/operations.py": "what another process answered, as JSON",
    "commands/serving.py": "a Literal, which the type checker holds",
    "commands/data.py": "what another process answered, as JSON",
    "api/http/failures.py": "where a wrong request was wrong, as the framework says it",
    "api/document.py": "statuses of HTTP",
    "stores/workflows/work.py": "statuses of the durable work, which its library has",
    "stores/workflows/queue_looks.py": "statuses of the durable work, which its library has",
}


def modules() -> dict[str, ast.Module]:
    """The source by path, without the steps of the records' schema, which stay as they were."""
    paths = sorted(path for path in SOURCE.rglob("*.py") if "versions" not in path.parts)
    return {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text()) for path in paths}


def last_name(node: ast.expr) -> str:
    """What an expression is called: x.state, state, row["state"]."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.id if isinstance(node, ast.Name) else ""


def is_bare(node: ast.expr) -> bool:
    """Whether an expression is a text, or some texts; the empty text says that there is none."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(is_bare(one) for one in node.elts)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(node.value)


def bare(tree: ast.Module) -> Iterator[int]:
    """Lines that compare, set or pass a state as a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(last_name(side) in NAMES for side in sides) and any(map(is_bare, sides)):
                yield node.lineno
        elif isinstance(node, ast.Assign):
            if any(last_name(target) in NAMES for target in node.targets) and is_bare(node.value):
                yield node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and COMPARED.search(node.value):
            yield node.lineno


def test_no_state_is_a_bare_text() -> None:
    found = {path: sorted(set(bare(tree))) for path, tree in modules().items()}
    wrong = {path: lines for path, lines in found.items() if lines and path not in OWN_WORDS}
    assert not wrong, f"name the member of the enum: {wrong}"
    assert OWN_WORDS.keys() <= found.keys(), "an exception for a module that is no more"
