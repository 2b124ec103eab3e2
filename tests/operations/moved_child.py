"""Run by the tests of other servers: makes two tenants, or serves those of engines, and prints what they read.

usage: moved_child.py make DATA_DIR BACKUP
       moved_child.py read DATA_DIR [BACKUP] < {tenant: key}

Prints {"keys": {tenant: key}, "answers": {tenant: {path: [status, body]}}} and, where a file is named, backs up to it.
Engines are those of the environment.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

sys.path.append(str(Path(__file__).parents[1] / "campaigns"))
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    EXTERNAL,
    FILL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_series,
)
from campaign_tenant import group as sends
from url_engines import serving

from rapport.access import keys
from rapport.access.service import create_tenant
from rapport.campaigns.cycle import daily
from rapport.commands import logs
from rapport.customers.importing import imports
from rapport.notifications import service as notifications
from rapport.settings import Settings
from rapport.stores import Stores, open_stores

PEOPLE = {
    "Shop": [["A1", "Zürich", "7.50"], ["A2", "tab\there", "8.00"]],
    "Bazaar": [["A1", "Kraków", "1.25"], ["ΟΔΟΣ", "", ""]],
}
ASKED: dict[str, Any] = {
    "Date": DATA_DATE,
    "StartDate": DATA_DATE,
    "EndDate": TODAY,
    "CampaignID": 1,
    "TargetGroupID": 1,
    "TargetGroupName": "Dutch",
    "ActionID": 2,
    "ActionName": "Voucher",
    "RecipientGroupID": 1,
    "ChannelID": EXTERNAL,
    "TemplateID": 1,
    "EventID": 1,
    "ValueSegmentID": 1,
    "ValueSegmentName": "Top",
    "CustomerID": "C00001",
    "ChangedCustomerAttribute": "LIFECYCLE_STAGE",
    "CustomerAttributes": "COUNTRY;CITY;LEVEL;FUTURE_VALUE",
    "LifecycleStageID": 1,
    "MicrosegmentID": 1,
}
# Days of campaigns, which are the day after that of the data.
OF_TODAY = ("/actions/", "/groups/", "/customers/")
# What tells of processes, secrets or what was done since, and what is no JSON.
LEFT_OUT = (
    *("/operator/", "/keys", "/limits", "/audit-entries", "/unsubscribe", "/event-intake"),
    *("/v1/files", "config", "/metrics", "/ready"),
)


def furnish(stores: Stores, name: str, folder: Path) -> str:
    """A tenant with a day of its own; its key."""
    scope = create_tenant(stores, name, "Europe/Berlin", "EUR")
    for statement in FILL:
        scope.warehouse.execute(statement)
    path = folder / f"{name}.csv"
    path.write_text("\n".join(["CustomerID;City;Level", *(";".join(row) for row in PEOPLE[name])]) + "\n")
    imports.import_file(scope, "customers", path)
    add_channels(scope)
    add_group(scope, "Dutch", "NL", 1)
    add_action(scope, "Voucher", (name,))
    add_series(scope, 1, [sends(2, (EXTERNAL, 3), (EMAIL, 1), time="10:00")], name="Daily", control_share=0.2)
    notifications.register_listener(scope, 3, "http://127.0.0.1:9/events")
    daily.run_cycle(scope, DATA_DATE)
    return keys.create_key(scope, "tests", "tests@example.com", "Admin")[1]


def asked(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every read of the document whose parameters are known, with values of them."""
    for path, operations in document["paths"].items():
        parameters = operations.get("get", {}).get("parameters", [])
        needed = {one["name"] for one in parameters if one.get("required")}
        if "get" in operations and needed <= ASKED.keys() and not any(part in path for part in LEFT_OUT):
            names = [one["name"] for one in parameters if one["name"] in needed | {"Date", "CustomerAttributes"}]
            day = TODAY if any(part in path for part in OF_TODAY) else DATA_DATE
            values = {name: day if name == "Date" else ASKED[name] for name in names}
            inside = {name: values.pop(name) for name in list(values) if "{" + name + "}" in path}
            yield path.format(**inside), values


def answers(stores: Stores, key: str) -> dict[str, Any]:
    """What a tenant reads."""
    found: dict[str, Any] = {}
    with serving(stores) as base_url, httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=60) as client:
        for path, values in asked(client.get("/openapi.json").json()):
            answer = client.get(path, params=values)
            body = answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.text
            found[path] = [answer.status_code, body]
    return found


def main(what: str, data_dir: Path, *backup: str) -> None:
    logs.configure("ERROR")
    stores = open_stores(Settings(data_dir=data_dir, rate_limit_calls=0, allow_private_addresses=True))
    stores.clock.set(NOW)
    if what == "make":
        stores.start_work()
        known = {name: furnish(stores, name, data_dir.parent) for name in PEOPLE}
    else:
        known = json.load(sys.stdin)
    print(json.dumps({"keys": known, "answers": {name: answers(stores, key) for name, key in known.items()}}))
    for path in backup:
        stores.backup(Path(path))
    stores.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
