"""Variables say what they hold: words that fit anything are no names."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
EMPTY = {"one", "found", "told", "some", "made", "given", "wanted", "its", "thing", "things", "obj", "tmp", "foo"}


def modules() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if "records_migrations" not in path.parts]


def bound_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that is bound, and its line: variables, arguments, and names that errors are caught under."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name, node.lineno


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_names_say_what_they_hold(path: Path) -> None:
    empty = [f"{path.name}:{line} {name}" for name, line in bound_names(ast.parse(path.read_text())) if name in EMPTY]
    assert not empty


def test_every_kind_of_binding_is_seen() -> None:
    tree = ast.parse("one = 1\ndef f(found, *some): ...\ntry: ...\nexcept E as told: ...\n[made for made in given]")
    assert {name for name, _ in bound_names(tree)} == {"one", "found", "some", "told", "made"}
