"""Sizes, names and clocks of the source."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "rapport"
LONGEST_FUNCTION = 60
LONGEST_MODULE = 400
TYPICAL = 10
NEARLY_ALL = 30
FORBIDDEN_NAMES = re.compile(r"manager|helper|utils?\b|misc|common")
# module:function -> why it may be longer than a screen
LONG_FUNCTIONS: dict[str, str] = {}
CLOCKS = {"now", "today", "utcnow", "fromtimestamp"}
# In two halves each, so that this file is not a finding of its own.
ADDRESS = re.compile("py" r"pi\.org|python" "hosted|npm" r"js\.com|deb\.deb" "ian|/ro" "ot/|/ho" "me/[a-z]")


def sources() -> list[Path]:
    """All modules but the steps of the records' schema, which are lists of columns."""
    return sorted(path for path in SOURCE.rglob("*.py") if "versions" not in path.parts)


def functions() -> Iterator[tuple[str, int]]:
    """Every function of the source and how many lines it has, its docstring left out."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(SOURCE)}:{node.name}", _length(node)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_functions_fit_a_screen() -> None:
    lengths = dict(functions())
    long = {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}
    assert long.keys() <= LONG_FUNCTIONS.keys(), f"longer than {LONGEST_FUNCTION} lines: {long}"
    assert LONG_FUNCTIONS.keys() <= lengths.keys(), "an exception for a function that is no more"
    deciles = statistics.quantiles(lengths.values(), n=10)
    print(f"{len(lengths)} functions, median {deciles[4]:.0f} lines, 90% up to {deciles[8]:.0f}")
    assert deciles[4] <= TYPICAL
    assert deciles[8] <= NEARLY_ALL


def test_modules_are_short() -> None:
    long = {
        str(p.relative_to(SOURCE)): n for p in sources() if (n := len(p.read_text().splitlines())) >= LONGEST_MODULE
    }
    assert not long


def test_names_say_what_a_module_is_about() -> None:
    assert [str(path) for path in sources() if FORBIDDEN_NAMES.search(path.relative_to(SOURCE).as_posix())] == []


def test_time_comes_from_the_clock() -> None:
    found = []
    for path in sources():
        if path == SOURCE / "stores" / "clock.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in CLOCKS
                and isinstance(node.value, ast.Name)
                and node.value.id in ("datetime", "date")
            ):
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert not found, f"ask scope.clock instead: {found}"


def test_nothing_is_left_to_do_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert [str(path) for path in sources() if marks.search(path.read_text())] == []


def test_files_name_no_registry_and_no_machine() -> None:
    folders = [SOURCE, ROOT / "benchmarks", ROOT / "docs", ROOT / ".ci"]
    files = [*ROOT.iterdir(), *(file for folder in folders for file in folder.rglob("*"))]
    written = {".py", ".md", ".toml", ".lock", ".sql", ".json", ".yaml", ".html", ".css", ".js"}
    bare = {"Makefile", "LICENSE", "run", ".gitignore"}
    texts = [file for file in files if file.is_file() and (file.suffix in written or file.name in bare)]
    assert [str(f) for f in texts if ADDRESS.search(f.read_text(errors="replace"))] == []


def test_the_lock_has_a_hash_for_everything_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[a-z])", lock.split("\n# ")[0])
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|--index|--find|--extra|\btorch\b", lock)
