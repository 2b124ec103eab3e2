"""The order of a function's parameters, as CONTRIBUTING says it."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
# Types by where they come from: servers and libraries have a Scope and a Session of their own.
PLACES = {
    ("rapport.access.scope", "Scope"): 0,
    ("sqlalchemy.orm", "Session"): 1,
    ("sqlalchemy", "Connection"): 1,
}
LAST = 2


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, dict[str, int]]]:
    """Each function with its place, and the ranks of the types that its module knows, by name."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        imported = {
            alias.asname or alias.name: PLACES[node.module or "", alias.name]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if (node.module or "", alias.name) in PLACES
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}", node, imported


def ranks(function: ast.FunctionDef | ast.AsyncFunctionDef, known: dict[str, int]) -> list[int]:
    """The ranks of the parameters that have no default; those that have one, as of a route, come behind."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    own = [one for one in required if one.arg not in ("self", "cls")]
    return [known.get(ast.unparse(one.annotation).strip("'\""), LAST) if one.annotation else LAST for one in own]


def test_scope_comes_first_then_the_session_then_what_it_is_about() -> None:
    wrong = [name for name, function, known in functions() if (order := ranks(function, known)) != sorted(order)]
    assert not wrong, f"scope first, then session or connection: {wrong}"
