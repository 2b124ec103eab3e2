"""The command line: rapport serve, demo, tenant, key, secrets, import, cycle, backup, restore, doctor and others."""

import gc
import os
import signal
import sys
from importlib.metadata import version
from types import FrameType
from typing import Annotated, NoReturn

import typer

from rapport.commands import access, data, demo, operations, serve
from rapport.commands.logs import for_command
from rapport.commands.output import DataDir, errors, global_options
from rapport.errors import RapportError
from rapport.private import UMASK

# New objects until garbage is looked for. What a command imports makes several hundred thousand that stay; to look
# for garbage among them at every few hundred took a seventh of the time until a command begins.
OBJECTS_MADE = 50_000
# What ends a command in order, as an interruption does: the engines that it opened are closed.
ENDS = (signal.SIGTERM, signal.SIGHUP)
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
app.add_typer(access.secrets, name="secrets")
app.command("import")(data.import_files)
app.add_typer(data.cycles, name="cycle")
for command in (
    operations.backup,
    operations.restore,
    operations.resume,
    operations.migrate,
    operations.doctor,
    operations.openapi,
):
    app.command()(command)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(version("rapport"))
        raise typer.Exit


@app.callback()
def before(
    data_dir: DataDir = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Rapport: open, self-hosted relationship marketing."""
    global_options["data_dir"] = data_dir
    for_command()


def main() -> None:
    """The `rapport` command. What a user can mend is told in one line on standard error.

    Exit code 2 for a command line that cannot be read, 1 for everything else, 130 when it was interrupted, 143 or 129
    when it was told to end (SIGTERM, SIGHUP).
    """
    _end_in_order()
    _stand_somewhere()
    os.umask(UMASK)
    gc.set_threshold(OBJECTS_MADE)
    try:
        # The library's own way to tell is a box of five lines.
        code = app(prog_name="rapport", standalone_mode=False)
    except RapportError as error:
        _end(error.message, 1)
    except typer.TyperException as error:
        _end(_usage(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        from rapport.stores.faults import explained
        from rapport.stores.outages import outage

        unavailable = explained(error) or outage(error)
        if unavailable is None:
            raise
        _end(unavailable.message, 1)
    else:
        sys.exit(code)


def _end_in_order() -> None:
    """Let signals that end a command unwind it; one that is ignored, as under nohup, stays ignored."""

    def end(number: int, _frame: FrameType | None) -> None:
        for other in ENDS:  # what closes the engines is not cut off by another
            signal.signal(other, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def _stand_somewhere() -> None:
    """Leave a working directory that was removed: the warehouse does not start in none."""
    try:
        os.getcwd()
    except OSError:
        os.chdir("/")


def _end(sentence: str, code: int) -> NoReturn:
    if sentence:  # a command without its arguments has shown its help instead
        errors.print(sentence, markup=False)
    sys.exit(code)


def _usage(error: typer.TyperException) -> str:
    """One line for what is wrong on the command line, and where to look it up."""
    fault = " ".join(error.format_message().replace("Value error, ", "").split()).removesuffix(".")
    if not fault:
        return ""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "rapport"
    return f"Error: {fault}{'' if fault.endswith('?') else '.'} Try {command} --help."
