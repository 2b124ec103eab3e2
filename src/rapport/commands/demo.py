"""rapport demo: a retailer to try everything on."""

from typing import Annotated

import typer

from rapport.commands.output import DataDir, Json, people, print_json, progress, settings_of
from rapport.demo.run import DemoResult, run_demo
from rapport.settings import Settings


def demo(
    customers: Annotated[int, typer.Option(min=100, max=1_000_000, help="Customers of the retailer.")] = 6000,
    days: Annotated[int, typer.Option(min=3, max=365, help="Days that are lived.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed makes the same retailer.")] = 7,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Build it and exit.")] = False,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Simulate a retailer, run the real pipeline over its days, then serve it."""
    settings = settings_of(data_dir, port=port)
    result = _build(settings, customers, days, seed, json)
    if json:
        print_json(result.as_json())
    else:
        _tell(result, settings)
    if not no_serve:
        from rapport.commands.serving import run
        from rapport.demo.mailbox import mailbox
        from rapport.settings import roles_of

        # What the demo's campaigns send while it is served stays on the machine too.
        with mailbox() as (_, mail_port):
            settings.smtp_url = f"smtp://127.0.0.1:{mail_port}"
            run(settings, roles_of(settings), json)


def _build(settings: Settings, customers: int, days: int, seed: int, as_json: bool) -> DemoResult:
    from rapport.stores import open_stores

    stores = open_stores(settings)
    try:
        stores.start_work()
        with progress(f"Simulating {customers} customers over {days} days", as_json) as tell:
            return run_demo(stores, customers, days, seed, tell)
    finally:
        stores.close()


def _tell(result: DemoResult, settings: Settings) -> None:
    base = f"http://{settings.host}:{settings.port}"
    day = result.last_data_date
    calls = (
        "general/GetLastDataUpdate",
        "model/GetMicrosegmentList",
        f"actions/GetExecutedCampaignDetails?Date={day}",
        f"customers/GetCustomerActionDetailsByDate?Date={day}&%24top=5",
        f"segments/GetCustomersByValueSegment?ValueSegmentID=1&Date={day}"
        "&CustomerAttributes=COUNTRY%3BFUTURE_VALUE&%24top=5",
    )
    lines = [
        f"Tenant {result.tenant_id}: {result.customers} customers, {result.campaigns} campaigns,"
        f" {result.messages} mails, data through {day} ({result.seconds} s).",
        f"Base URL          {base}",
        f"Admin key         {result.admin_key}",
        f"Integrations key  {result.integrations_key}",
        "",
        *(f"curl -s -H 'X-API-KEY: {result.admin_key}' '{base}/current/{call}'" for call in calls),
        "",
    ]
    people.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
