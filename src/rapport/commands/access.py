"""rapport tenant, rapport key."""

from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from rapport.commands.connection import connected
from rapport.commands.options import day, email
from rapport.commands.output import DataDir, Json, Tenant, settings_of, show, show_rows

tenants = typer.Typer(help="Companies.", no_args_is_help=True)
keys = typer.Typer(help="API keys of a tenant.", no_args_is_help=True)


class AccessType(StrEnum):
    """What a key may do."""

    Admin = "Admin"
    Integrations = "Integrations"
    Transactional = "Transactional"


@tenants.command("create")
def create_tenant(
    name: Annotated[str, typer.Argument(help="The company's name.")],
    time_zone: Annotated[str, typer.Option(help="IANA name; cuts the days.")] = "UTC",
    currency: Annotated[str, typer.Option(help="Three letters.")] = "USD",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Create a tenant."""
    body = {"name": name, "time_zone": time_zone, "currency": currency}
    with connected(settings_of(data_dir)) as connection:
        made = connection.call("POST", "/manage/v1/tenants", body=body)
    show(made, json, f"Tenant {made['id']}: {made['name']}, {made['time_zone']}, {made['currency']}")


@tenants.command("list")
def list_tenants(data_dir: DataDir = None, json: Json = False) -> None:
    """List tenants."""
    with connected(settings_of(data_dir)) as connection:
        found = connection.call("GET", "/manage/v1/tenants")
    show_rows(found, ("id", "name", "time_zone", "currency", "last_data_date"), json)


@keys.command("create")
def create_key(
    tenant: Tenant,
    nickname: Annotated[str, typer.Option(help="What the key is for.")],
    contact_email: Annotated[
        str, typer.Option("--contact", parser=email, metavar="EMAIL", help="Whom to write to about the key.")
    ],
    access_type: Annotated[
        AccessType, typer.Option("--type", case_sensitive=False, help="What the key may do.")
    ] = AccessType.Admin,
    expires_on: Annotated[
        date | None, typer.Option(parser=day, metavar="YYYY-MM-DD", help="The last day it works.")
    ] = None,
    cidr: Annotated[list[str] | None, typer.Option(help="An address range it may be used from; repeatable.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Create an API key; this is the only time it is shown."""
    body = {"nickname": nickname, "contact_email": contact_email, "access_type": access_type.value, "cidrs": cidr or []}
    if expires_on:
        body["expires_on"] = expires_on.isoformat()
    with connected(settings_of(data_dir)) as connection:
        made = connection.call("POST", "/manage/v1/keys", tenant, body)
    show(made, json, f"Key {made['id']}, {made['access_type']}; keep it now, it is not shown again:\n{made['key']}")


@keys.command("list")
def list_keys(tenant: Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """List a tenant's keys."""
    with connected(settings_of(data_dir)) as connection:
        found = connection.call("GET", "/manage/v1/keys", tenant)
    show_rows(found, ("id", "nickname", "access_type", "prefix", "status", "expires_on", "last_used_at"), json)


@keys.command("disable")
def disable_key(
    tenant: Tenant,
    key_id: Annotated[int, typer.Argument(help="The key's number in the list.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Refuse a key from now on."""
    with connected(settings_of(data_dir)) as connection:
        disabled = connection.call("POST", f"/manage/v1/keys/{key_id}/disable", tenant)
    show(disabled, json, f"Key {key_id} ({disabled['nickname']}) is disabled.")
