"""rapport tenant, rapport key, rapport secrets."""

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from rapport.commands.connection import connected
from rapport.commands.options import day, email
from rapport.commands.output import DataDir, Json, Tenant, settings_of, show, show_rows

tenants = typer.Typer(help="Create, list and limit tenants (companies).", no_args_is_help=True)
SenderDomain = Annotated[str, typer.Argument(help="Domain, such as shop.example.")]
keys = typer.Typer(help="Create, list and disable API keys.", no_args_is_help=True)
secrets = typer.Typer(help="Seal stored secrets.", no_args_is_help=True)


KEY_COLUMNS = ("id", "nickname", "access_type", "rights", "prefix", "status", "expires_on", "last_used_at", "unused")


class AccessType(StrEnum):
    """What a key may do."""

    Admin = "Admin"
    Integrations = "Integrations"
    Transactional = "Transactional"


class Rights(StrEnum):
    """What a key may do of what its type covers."""

    full = "full"
    read = "read"
    data_in = "data-in"


@tenants.command("create")
def create_tenant(
    name: Annotated[str, typer.Argument(help="Name of the company.")],
    time_zone: Annotated[str, typer.Option(help="IANA name of the time zone; decides when days begin.")] = "UTC",
    currency: Annotated[str, typer.Option(help="ISO code of the currency, three letters.")] = "USD",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Create a tenant."""
    body = {"name": name, "time_zone": time_zone, "currency": currency}
    with connected(settings_of(data_dir), access=True) as connection:
        created = connection.call("POST", "/manage/v1/tenants", body=body)
    show(
        created,
        f"Tenant {created['id']}: {created['name']}, {created['time_zone']}, {created['currency']}",
        as_json=json,
    )


@tenants.command("list")
def list_tenants(data_dir: DataDir = None, json: Json = False) -> None:
    """List tenants."""
    with connected(settings_of(data_dir), access=True) as connection:
        rows = connection.call("GET", "/manage/v1/tenants")
    show_rows(rows, ("id", "name", "time_zone", "currency", "last_data_date"), as_json=json)


@tenants.command("allow-sender")
def allow_sender(tenant: Tenant, domain: SenderDomain, data_dir: DataDir = None, json: Json = False) -> None:
    """Allow a tenant to send mail from a domain through the server's mail server."""
    _change_senders("PUT", tenant, domain, data_dir, json)


@tenants.command("disallow-sender")
def disallow_sender(tenant: Tenant, domain: SenderDomain, data_dir: DataDir = None, json: Json = False) -> None:
    """Stop a tenant from sending mail from a domain."""
    _change_senders("DELETE", tenant, domain, data_dir, json)


def _change_senders(method: str, tenant: str, domain: str, data_dir: Path | None, json: bool) -> None:
    with connected(settings_of(data_dir), access=True) as connection:
        path = f"/manage/v1/operator/sender-domains/{quote(domain, safe='')}"
        allowed = connection.call(method, path, connection.tenant(tenant))
    show(allowed, f"The tenant may send from {', '.join(allowed['sender_domains']) or 'no domain'}.", as_json=json)


@tenants.command("limits")
def limits(
    tenant: Tenant,
    calls: Annotated[
        int | None, typer.Option(min=0, help="API calls of all keys together, per rate-limit window.")
    ] = None,
    app_events: Annotated[int | None, typer.Option(min=0, help="Events from apps per 10 seconds.")] = None,
    key_number: Annotated[int | None, typer.Option("--keys", min=0, help="Number of API keys.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show the limits of a tenant, and change those that you give. 0 means no limit."""
    options = {"calls": calls, "app_events": app_events, "keys": key_number}
    body = {name: limit for name, limit in options.items() if limit is not None}
    with connected(settings_of(data_dir), access=True) as connection:
        stored = connection.call("PATCH", "/manage/v1/tenants/current/limits", connection.tenant(tenant), body)
    words = {name: number or "any number of" for name, number in stored.items()}
    show(stored, f"{words['calls']} calls, {words['app_events']} events of apps, {words['keys']} keys", as_json=json)


@keys.command("create")
def create_key(
    tenant: Tenant,
    nickname: Annotated[str, typer.Option(help="A name for the key, such as the system that uses it.")],
    contact_email: Annotated[
        str,
        typer.Option(
            "--contact", parser=email, metavar="EMAIL", help="E-mail address of the person responsible for the key."
        ),
    ],
    access_type: Annotated[
        AccessType, typer.Option("--type", case_sensitive=False, help="Access type of the key.")
    ] = AccessType.Admin,
    expires_on: Annotated[
        date | None,
        typer.Option(parser=day, metavar="YYYY-MM-DD", help="Last day the key works. Default: a year from now."),
    ] = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="Create a key that does not expire.")] = False,
    rights: Annotated[Rights, typer.Option(help="full, read only, or imports and attributes only.")] = Rights.full,
    section: Annotated[
        list[str] | None, typer.Option(help="Restrict the key to a part of /manage/v1; repeatable.")
    ] = None,
    cidr: Annotated[list[str] | None, typer.Option(help="Restrict the key to an address range; repeatable.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Create an API key. This command shows it once."""
    body = {"nickname": nickname, "contact_email": contact_email, "access_type": access_type.value, "cidrs": cidr or []}
    body |= {"rights": rights.value, "sections": section or []}
    if expires_on or never_expires:
        body["expires_on"] = "never" if never_expires else str(expires_on)
    with connected(settings_of(data_dir), access=True) as connection:
        key = connection.call("POST", "/manage/v1/keys", connection.tenant(tenant), body)
    ends = f"works until {key['expires_on']}" if key["expires_on"] else "works without end"
    message = f"Key {key['id']}, {key['access_type']}, {ends}; keep it now, it is not shown again:\n{key['key']}"
    show(key, message, as_json=json)


@keys.command("list")
def list_keys(tenant: Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """List the API keys of a tenant."""
    with connected(settings_of(data_dir), access=True) as connection:
        rows = connection.call("GET", "/manage/v1/keys", connection.tenant(tenant))
    show_rows(rows, KEY_COLUMNS, as_json=json)


@keys.command("disable")
def disable_key(
    tenant: Tenant,
    key_id: Annotated[int, typer.Argument(help="ID of the key, see rapport key list.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Disable an API key permanently."""
    with connected(settings_of(data_dir), access=True) as connection:
        disabled = connection.call("POST", f"/manage/v1/keys/{key_id}/disable", connection.tenant(tenant))
    show(disabled, f"Key {key_id} ({disabled['nickname']}) is disabled.", as_json=json)


@secrets.callback()
def _of_secrets() -> None:
    """Seal stored secrets."""


@secrets.command("seal")
def seal_secrets(data_dir: DataDir = None, json: Json = False) -> None:
    """Encrypt every stored secret with the first key of RAPPORT_SECRET_KEY."""
    with connected(settings_of(data_dir)) as connection:
        done = connection.call("POST", "/manage/v1/operator/secrets/seal")
    show(done, f"{done['sealed']:,} secrets were sealed.", as_json=json)
