"""rapport serve: one process that does it all, or the roles it is given."""

from typing import Annotated

import typer

from rapport.commands.options import Port
from rapport.commands.output import DataDir, Json, settings_of
from rapport.settings import ROLES, roles_of


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Port = None,
    roles: Annotated[str | None, typer.Option(help=f"Some of {','.join(ROLES)}; all by default.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Serve the API, carry out durable work and run the schedule until told to stop."""
    settings = settings_of(data_dir, host=host, port=port, roles=roles)
    wanted = roles_of(settings)
    from rapport.commands.serving import run

    run(settings, wanted, json)
