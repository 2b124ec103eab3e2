"""The command line: rapport serve, demo, tenant, key, import, cycle, backup, restore, migrate, doctor, openapi."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from rapport.commands import access, data, demo, operations, serve
from rapport.commands.logs import for_command
from rapport.commands.output import DataDir, errors, given
from rapport.errors import RapportError

app = typer.Typer(
    help="Rapport: open, self-hosted relationship marketing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command()(demo.demo)
app.add_typer(access.tenants, name="tenant")
app.add_typer(access.keys, name="key")
app.command("import")(data.import_files)
app.add_typer(data.cycles, name="cycle")
for command in (operations.backup, operations.restore, operations.migrate, operations.doctor, operations.openapi):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("rapport"))
        raise typer.Exit


@app.callback()
def before(
    data_dir: DataDir = None,
    _version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """What comes before the command's name."""
    given["data_dir"] = data_dir
    for_command()


def main() -> None:
    """The `rapport` command. What a user can mend is told in one line on standard error, with exit code 1."""
    try:
        app()
    except RapportError as error:
        sentence = error.message
    except Exception as error:
        from rapport.stores.faults import explained

        unavailable = explained(error)
        if unavailable is None:
            raise
        sentence = unavailable.message
    except KeyboardInterrupt:
        sys.exit(130)
    else:
        return
    errors.print(sentence, markup=False)
    sys.exit(1)
