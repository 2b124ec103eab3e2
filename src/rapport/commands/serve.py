"""rapport serve: one process that does it all, or the roles it is given."""

from typing import Annotated

import typer

from rapport.commands.options import Port
from rapport.commands.output import DataDir, Json, settings_of
from rapport.settings import ROLES, roles_of


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Port = None,
    roles: Annotated[
        str | None, typer.Option(help=f"What this process does: some of {','.join(ROLES)}. Default: all.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Serve the API, run campaigns and the daily schedule, until stopped."""
    settings = settings_of(data_dir, host=host, port=port, roles=roles)
    process_roles = roles_of(settings)
    from rapport.commands.serving import run

    run(settings, process_roles, as_json=json)
