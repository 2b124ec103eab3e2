"""rapport demo: a retailer to try everything on."""

import gc
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from rapport.commands.options import Port
from rapport.commands.output import DataDir, Json, people, print_json, progress, settings_of
from rapport.settings import Settings

if TYPE_CHECKING:  # what the demo needs takes seconds to import, which other commands must not wait for
    from rapport.demo.mailbox import Mailbox
    from rapport.demo.outside import OutsideSystems
    from rapport.demo.run import DemoResult

# New objects before garbage is looked for: with Python's own 700 that is done every few statements.
GARBAGE = 20_000
# Libraries of the model and the API that take a second to load, in which the engines can start.
LIBRARIES = ("fastapi", "uvicorn", "scipy.optimize", "scipy.stats", "scipy.cluster.vq", "sklearn.ensemble")


def demo(
    customers: Annotated[int, typer.Option(min=100, max=1_000_000, help="Number of customers.")] = 6000,
    days: Annotated[int, typer.Option(min=3, max=365, help="Number of days to simulate.")] = 7,
    seed: Annotated[int, typer.Option(help="The same seed gives the same retailer.")] = 7,
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="Exit after building the demo, without serving it.")
    ] = False,
    port: Port = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Simulate a retailer with customers, campaigns and results, then serve it."""
    settings = settings_of(data_dir, port=port)
    if no_serve:
        _tell(_build(settings, customers, days, seed, json), settings, as_json=json)
        return
    from rapport.commands.serving import run
    from rapport.demo.mailbox import mailbox, used_url
    from rapport.demo.outside import outside_systems
    from rapport.demo.pages import pages_of
    from rapport.demo.shop import shop_of
    from rapport.settings import roles_of

    # The demo's outside systems answer as long as it is served, and what it sends stays on the machine too.
    with outside_systems(settings) as outside, mailbox(seed) as box:
        result = _build(settings, customers, days, seed, json, outside, box)
        _tell(result, settings, as_json=json, serves=True)
        settings.smtp_url = used_url(box)
        run(settings, roles_of(settings), as_json=json, more=[pages_of(box), shop_of(result)])


def _build(
    settings: Settings,
    customers: int,
    days: int,
    seed: int,
    as_json: bool,
    outside: "OutsideSystems | None" = None,
    box: "Mailbox | None" = None,
) -> "DemoResult":
    from rapport.stores import open_stores

    with ThreadPoolExecutor(1, "libraries") as meanwhile:
        meanwhile.map(import_module, LIBRARIES)
        stores = open_stores(settings, upgrading=False, hurried=True)
    try:
        from rapport.demo.run import run_demo

        stores.start_work()
        gc.freeze()  # what was loaded stays, and is never searched for garbage
        gc.set_threshold(GARBAGE)
        with progress(f"Simulating {customers} customers over {days} days", as_json=as_json) as tell:
            return run_demo(stores, customers, days, seed, tell, outside, box)
    finally:
        stores.close()


def _tell(result: "DemoResult", settings: Settings, *, as_json: bool, serves: bool = False) -> None:
    if as_json:
        print_json(result.as_json())
        return
    from rapport.demo.pages import MAILBOX_PATH
    from rapport.demo.shop import HOME_PATH

    base, day = f"http://{settings.host}:{settings.port}", result.last_data_date
    lines = [
        f"Tenant {result.tenant_id}: {result.customers} customers, {result.campaigns} campaigns,"
        f" {result.messages} mails, {result.events} events, {result.firings} firings of triggers,"
        f" data through {day} ({result.seconds} s).",
        f"Base URL          {base}",
        f"Admin key         {result.admin_key}",
        f"Integrations key  {result.integrations_key}",
        f"Server token      {result.server_token}",
        f"All functions     {base}/docs",
        *([f"Shop              {base}{HOME_PATH}", f"Mailbox           {base}{MAILBOX_PATH}"] if serves else []),
        "",
        *(f"curl -s -H 'X-API-KEY: {result.admin_key}' '{base}/{call}'" for call in _calls(result.last_data_date)),
        "",
        "An order, which fires the first trigger at once, and what came of it:",
        f"curl -s -H 'Authorization-Token: {result.server_token}' -H 'Content-Type: application/json'"
        f" '{base}/v1/events' -d '{_event(result)}'",
        f"curl -s -H 'X-API-KEY: {result.admin_key}' '{base}/manage/v1/triggers/{result.trigger_id}/firings?limit=1'",
        "",
    ]
    people.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)


def _calls(day: str) -> tuple[str, ...]:
    return (
        "current/general/GetLastDataUpdate",
        "current/model/GetMicrosegmentList",
        f"current/actions/GetExecutedCampaignDetails?Date={day}",
        f"current/customers/GetCustomerActionDetailsByDate?Date={day}&%24top=5",
        f"current/segments/GetCustomersByValueSegment?ValueSegmentID=1&Date={day}"
        "&CustomerAttributes=COUNTRY%3BFUTURE_VALUE&%24top=5",
    )


def _event(result: "DemoResult") -> str:
    """The body of an order of now; the shell puts the time in."""
    from rapport.demo.live import TRIAL

    name, parameters = TRIAL
    event = {"tenant": result.tenant_id, "event": name, "customer": result.shoppers[0], "context": parameters}
    return orjson.dumps(event).decode()[:-1] + ',"timestamp":"\'"$(date -u \'+%F %T UTC\')"\'"}'
