"""What docs/architecture.md names is there: packages, and the places of its index of where things are decided."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "rapport"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROW = re.compile(r"^\| (?P<question>[^|]+) \| (?P<places>[^|]*`[^|]*) \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


INDEX = section("Where is X decided")


def places() -> Iterator[tuple[str, str, str]]:
    """Question, path and name of each place."""
    for row in ROW.finditer(INDEX):
        path = ""
        for word in CODE.findall(row["places"]):
            if word.endswith(".py"):
                path = word
            else:
                yield row["question"], path, word


def names_of(path: Path) -> set[str]:
    """What a module defines: functions, classes with their methods, and constants."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            members = node.body if isinstance(node, ast.ClassDef) else []
            names |= {f"{node.name}.{member.name}" for member in members if isinstance(member, ast.FunctionDef)}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names


def test_every_place_of_the_index_is_in_the_code() -> None:
    lost = [
        f"{question}: {path} {name}"
        for question, path, name in places()
        if not (SOURCE / path).is_file() or name not in names_of(SOURCE / path)
    ]
    assert lost == []


def test_the_index_has_a_place_for_each_of_its_questions() -> None:
    questions = [line for line in INDEX.splitlines() if line.startswith("| ") and not line.endswith("| where |")]
    assert len(questions) > 30
    assert {row["question"] for row in ROW.finditer(INDEX)} == {question for question, _, _ in places()}
    assert len(questions) == len({question for question, _, _ in places()})


def test_the_list_of_packages_is_whole() -> None:
    named = {
        name
        for line in section("Packages").splitlines()
        if re.match(r"\| \d", line)
        for name in CODE.findall(line.split("|")[2])
    }
    modules = {path.stem for path in SOURCE.glob("*.py")} - {"__init__", "__main__"}
    assert named == modules | {path.parent.name for path in SOURCE.glob("*/__init__.py")}
