"""Values of options that are read in one way by all commands, with a sentence for what cannot be read."""

from datetime import date
from typing import Annotated

import typer

HIGHEST_PORT = 65_535


def day(text: str) -> date:
    """A calendar day. Raises typer.BadParameter."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"it must be a day in the form YYYY-MM-DD, not {text!r}.") from error


def port(text: str) -> int:
    """A port to listen on. Raises typer.BadParameter."""
    if not text.isascii() or not text.isdigit() or int(text) > HIGHEST_PORT:
        raise typer.BadParameter(f"it must be a number from 0 to {HIGHEST_PORT}, not {text!r}.")
    return int(text)


def email(text: str) -> str:
    """Somebody's address. Raises typer.BadParameter."""
    before, at, behind = text.partition("@")
    if not (before and at and behind):
        raise typer.BadParameter(f"it must be an e-mail address, not {text!r}.")
    return text


Port = Annotated[
    int | None, typer.Option("--port", parser=port, metavar="PORT", help="Port to listen on; 0 picks a free one.")
]
