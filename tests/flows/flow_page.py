"""Runs a page of docs/flows as a reader would: its shell blocks in order, and what it shows of the answers.

A `json` block right after a shell block is what that showed, an answer or a post: members and their types
must be those of the real thing. Comments of a page say what the tests do meanwhile.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PAGES = Path(__file__).parents[2] / "docs" / "flows"
PART = re.compile(r"^```(\w+)\n(.*?)^```$|^<!-- (.+?) -->$", re.DOTALL | re.MULTILINE)
SKIPPED = "given by the test"


class Shell:
    """One session of bash over many blocks: variables and functions stay."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self._state = folder / "state.sh"
        self._variables = variables

    def run(self, block: str) -> str:
        """Run a block; its standard output. A command that fails is an error of the page."""
        state = self._state
        script = f"set -aeuo pipefail\n[ -f {state} ] && . {state}\n{block}\n{{ export -p; declare -f; }} > {state}\n"
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", **self._variables}
        done = subprocess.run(
            ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=150, cwd=state.parent
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}\n{done.stdout}"
        return done.stdout

    def value(self, name: str) -> str:
        """The value of a variable."""
        return self.run(f'printf %s "${name}"')


def shape(value: Any) -> Any:
    """Members and types of a JSON value; a list is like its first row, and null like anything."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


def alike(shown: Any, real: Any) -> bool:
    """Whether a page shows what is: a null or an empty list may stand for any value, on either side."""
    if "NoneType" in (shown, real) or [] in (shown, real):
        return True
    if isinstance(shown, dict) and isinstance(real, dict):
        return shown.keys() == real.keys() and all(alike(shown[name], real[name]) for name in shown)
    if isinstance(shown, list) and isinstance(real, list):
        return alike(shown[0], real[0])
    return bool(shown == real)


def run_page(name: str, shell: Shell, happens: Callable[[str], Any], after: Callable[[str], None]) -> int:
    """Run a page; how many shell blocks it has. `happens` is called for each comment, `after` after each block."""
    blocks, last = 0, None
    for kind, text in parts(name):
        if kind == "comment":
            happens(text)
        elif kind == "sh":
            output = shell.run(text)
            after(output)
            blocks, last = blocks + 1, output
        elif kind == "json" and last is not None:
            real = json.loads(last)
            assert real != [], f"{name}: nothing came where {text} is shown"
            assert alike(shape(json.loads(text)), shape(real)), f"{name} shows {text}, but it is {real}"
            last = None
    return blocks


def parts(name: str) -> Iterator[tuple[str, str]]:
    """The blocks and comments of a page in order; the block after a comment that says so is left out."""
    skip = False
    for match in PART.finditer((PAGES / f"{name}.md").read_text()):
        language, block, comment = match.groups()
        if comment == SKIPPED:
            skip = True
        elif comment:
            yield "comment", comment
        elif skip:
            skip = False
        else:
            yield language, block
