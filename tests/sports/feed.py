"""A feed of a brand: calls of the sports inventory, and what they leave in it."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.messaging.topics import brand_groups

PATH = "/sports-inventory/v1/records"
TENNIS: list[dict[str, Any]] = [
    {"categoryKey": "tennis", "categoryName": "Tennis", "displayStatus": "Displayed", "displayOrder": 2},
    {"classKey": "intl", "categoryKey": "tennis", "className": "International"},
    {"typeKey": "open-1", "categoryKey": "tennis", "classKey": "intl", "typeName": "Northwind Open"},
    {
        "eventKey": "ev-1",
        "categoryKey": "tennis",
        "classKey": "intl",
        "typeKey": "open-1",
        "eventName": "Player A v Player B",
        "eventNameTranslated": {"de": "Spielerin A gegen Spielerin B"},
        "eventDateTime": "2030-05-06T14:00:00+02:00",
        "eventStatus": "Active",
    },
    {"marketKey": "mk-1", "eventKey": "ev-1", "typeKey": "open-1", "marketName": "Winner", "marketStatus": "Active"},
    {"selectionKey": "sl-1", "eventKey": "ev-1", "marketKey": "mk-1", "selectionName": "Player A", "decPrice": 2.25},
    {"selectionKey": "sl-2", "eventKey": "ev-1", "marketKey": "mk-1", "numPrice": 4, "denPrice": 9},
]


class Feed:
    """A client of a new brand of a tenant."""

    def __init__(self, scope: Scope, base_url: str, name: str) -> None:
        _, secret = keys.create_key(scope, name, "feed@example.com", "Admin")
        self.scope = scope
        self.brand = brand_groups.create_brand_group(scope, name, {}).id
        headers = {"x-api-key": secret, "x-brand-key": self.brand}
        self.client = httpx.Client(base_url=base_url, headers=headers, timeout=60)

    def send(self, method: str, records: Any) -> httpx.Response:
        """The answer to a call."""
        return self.client.request(method, PATH, json=records)

    def done(self, method: str, *records: dict[str, Any]) -> None:
        """Carry out a call that is good."""
        answer = self.send(method, list(records))
        assert (answer.status_code, answer.json()) == (202, {"success": True}), answer.text

    def refused(self, method: str, records: Any) -> str:
        """What a call with a fault is told."""
        answer = self.send(method, records)
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error["message"] == "Validation failed"
        return str(error["errors"])

    def listed(self, what: str, **asked: Any) -> list[Any]:
        """The entries of a list of the management API."""
        answer = self.client.get(f"/manage/v1/sports/{what}", params={"brand": self.brand, **asked})
        assert answer.status_code == 200, answer.text
        entries: list[Any] = answer.json()
        return entries

    def records(self, **asked: Any) -> dict[str, Any]:
        """Records by their own key."""
        return {record["record_key"]: record for record in self.listed("records", **asked)}

    def log(self, **asked: Any) -> list[tuple[int, int, str, str]]:
        """Call, place, key and outcome of what the log has."""
        entries = self.listed("log", **asked)
        return [(entry["call"], entry["place"], entry["record_key"], entry["outcome"]) for entry in entries]

    def followed(self, **headers: str) -> AbstractContextManager[httpx.Response]:
        """The stream of the changes of the brand."""
        path, asked = "/manage/v1/sports/changes", {"brand": self.brand}
        return self.client.stream("GET", path, params=asked, headers=headers, timeout=60)


def events(answer: httpx.Response) -> Iterator[tuple[str, int, Any]]:
    """Name, id and data of each event of a stream."""
    members: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            members[name] = value
        elif "event" in members:
            yield members["event"], int(members["id"]), json.loads(members["data"])
            members = {}
