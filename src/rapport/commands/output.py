"""How commands answer: tables and progress bars for people, one JSON value for machines."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from rapport.errors import Invalid
from rapport.settings import Settings
from rapport.wording import because

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON value, for scripts.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The data folder, which contains both databases.", readable=False)
]
Tenant = Annotated[str, typer.Option("--tenant", help="ID or name of the tenant.")]
Tell = Callable[[int, int], None]

# What `rapport --data-dir X` was given before the command's name.
global_options: dict[str, Path | None] = {"data_dir": None}
people = Console()
errors = Console(stderr=True, soft_wrap=True, highlight=False)


def settings_of(data_dir: Path | None, **changes: Any) -> Settings:
    """The settings of a command: its options over RAPPORT_* variables over defaults. Raises Invalid."""
    changes["data_dir"] = data_dir or global_options["data_dir"]
    try:
        return Settings(**{name: value for name, value in changes.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise Invalid(f"RAPPORT_{name} cannot be used: {because(first)}.") from error


def show(value: Any, sentence: str, *, as_json: bool) -> None:
    """Answer one thing: the value for machines, a sentence for people."""
    if as_json:
        print_json(value)
    else:
        people.print(sentence, highlight=False, soft_wrap=True, markup=False, emoji=False)


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Answer a list: whole for machines, a table of some columns for people."""
    if as_json:
        print_json(rows)
        return
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        table.add_row(*(Text("" if row[column] is None else str(row[column])) for column in columns))
    people.print(table)


def print_json(value: Any) -> None:
    """One JSON value on a line of standard output."""
    sys.stdout.write(orjson.dumps(value).decode() + "\n")
    sys.stdout.flush()


@contextmanager
def progress(title: str, *, as_json: bool) -> Iterator[Tell]:
    """A progress bar on standard error for as long as the block runs; the value tells it how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=as_json or not errors.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        yield tell
