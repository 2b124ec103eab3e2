"""Who may import whom: layers only downward, of another domain package only the modules of its interface."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from interfaces import INTERFACES

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
FLOORS = [
    {"errors", "hosts", "masks", "private", "settings", "wording"},
    {"stores"},
    {"access"},
    {"conditions"},
    {"customers", "messaging", "channels", "notifications", "apps", "inbox", "in_app", "sports"},
    {"insight", "audiences", "delivery", "promotions", "redemptions"},
    {"campaigns", "transactional", "placements"},
    {"realtime"},
    {"journeys"},
    {"persons"},
    {"api", "console"},
    {"app"},
    {"demo"},
    {"cli", "commands", "__main__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
DOMAIN = set().union(*FLOORS[4:10])
# The metadata of all tables is put together in one place, for migrations.
EXCEPTIONS = {("stores/models.py", "*"): "imports every package's models, by name, to fill the metadata"}


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py" or path.read_text().strip())


@functools.cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and full name of every rapport module or member that a module imports."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.startswith("rapport"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            if (node.module or "").split(".")[0] == "rapport":
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def package(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_downward_and_through_interfaces(path: Path) -> None:
    own = package(path)
    for line, name in imports(path):
        parts = name.split(".")[1:]
        other = parts[0]
        where = f"{path.relative_to(SOURCE)}:{line} imports {name}"
        assert other in FLOOR, f"{where}, which is on no floor: give it one in {Path(__file__).name}"
        if other == own:
            continue
        assert FLOOR[other] <= FLOOR[own], f"{where}, which is on a floor above"
        if own in DOMAIN and other in DOMAIN:
            assert imported_module(name) in INTERFACES[other], f"{where}, which is not in its interface"


def imported_module(name: str) -> str:
    """The module, below its package, that an import names or names a member of."""
    parts = name.split(".")[1:]
    if not SOURCE.joinpath(*parts).with_suffix(".py").exists():
        parts = parts[:-1]
    return ".".join(parts[1:])


def test_interfaces_hold_only_what_others_use() -> None:
    used: dict[str, set[str]] = {other: set() for other in INTERFACES}
    for path in modules():
        for _, name in imports(path):
            other = name.split(".")[1]
            if package(path) in DOMAIN and other in DOMAIN and other != package(path):
                used[other].add(imported_module(name))
    assert used == {other: set(names) for other, names in INTERFACES.items()}


def in_circles(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The circles of a graph: what is left when whoever imports nothing of it, or is not imported, is taken out."""
    remaining = {name: others - {name} for name, others in graph.items()}
    while True:
        used = set().union(*remaining.values())
        kept = {name: others & remaining.keys() for name, others in remaining.items() if others and name in used}
        if kept == remaining:
            return kept
        remaining = kept


def test_packages_do_not_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in modules():
        graph.setdefault(package(path), set()).update(name.split(".")[1] for _, name in imports(path))
    assert not in_circles(graph)


def test_modules_of_a_package_do_not_import_each_other_in_a_circle() -> None:
    """Nor for the sake of types alone, or within a function: what two modules share is a third."""
    names = {path: ".".join(("rapport", *path.relative_to(SOURCE).with_suffix("").parts)) for path in modules()}
    names = {path: name.removesuffix(".__init__") for path, name in names.items()}
    of_names = set(names.values())
    graph: dict[str, set[str]] = {}
    for path, own in names.items():
        used = {name if name in of_names else name.rpartition(".")[0] for _, name in imports(path)}
        graph[own] = {name for name in used if name.split(".")[1:2] == [package(path)]}
    assert not in_circles(graph)


def test_what_only_a_fit_or_a_change_of_the_schema_needs_is_not_imported_at_the_start() -> None:
    """`import scipy` alone loads none of its parts; they load when they are named where they are used."""
    late = {"alembic", "sklearn", "pandas", "scipy.linalg", "scipy.optimize", "scipy.special", "scipy.stats"}
    asked = f"import sys, rapport.app, rapport.demo.run; print({late} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_a_command_begins_without_the_engines_and_the_api() -> None:
    """Most commands talk to a server that runs, or end before any engine is opened."""
    late = {"sqlalchemy", "psycopg", "dbos", "clickhouse_connect", "chdb", "pyarrow", "numpy", "fastapi", "uvicorn"}
    asked = f"import sys, rapport.cli; print({late} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_commands_about_tenants_and_keys_load_little_of_the_api() -> None:
    late = {"rapport.app", "rapport.api.routers", "rapport.campaigns.cycle.daily", "rapport.realtime.service", "PIL"}
    asked = f"import sys, rapport.commands.private, rapport.api.access_app; print({late} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
