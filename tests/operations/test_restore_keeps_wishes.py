"""A restore keeps erased persons erased and opt-outs said, from what is kept beside the data folder."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from rapport_command import Server, run

NAMES = ("Gone", "Masked", "Silent", "Quiet", "Back", "Stays")
PEOPLE = "CustomerID,Registration_Date,Email,Allow_Email\n" + "".join(
    f"{who},2025-01-01,{who}@example.com,Yes\n" for who in NAMES
)
KEY = ("key", "create", "--tenant", "A", "--nickname", "tests", "--contact", "tests@example.com")
LATER = "2099-01-01T00:00:00Z"
KEPT = ("erased", "anonymised", "wishes", "ended")


def said_since(client: httpx.Client) -> None:
    """One person is erased, one anonymised, three say no, two are excluded, two addresses are suppressed; of those who
    say no, the excluded and the addresses one is let in.
    """
    assert client.delete("/manage/v1/persons/Gone").status_code == 204
    answer = client.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": ["Masked"]})
    assert answer.json() == {"FailedCustomerIDs": []}
    for who in ("Silent", "Back"):
        assert client.post("/manage/v1/suppressions", json={"customer_id": who}).status_code in (200, 201)
    assert client.delete("/manage/v1/suppressions", params={"customer_id": "Back"}).status_code == 204
    for who in ("stranger", "returned"):
        given = {"address": f"{who}@elsewhere.example"}
        assert client.post("/manage/v1/suppressions", json=given).status_code == 201
    assert client.delete("/manage/v1/suppressions", params={"address": "Returned@elsewhere.example"}).status_code == 204
    for who, ends_at in (("Stays", LATER), ("Back", None)):
        given = {"customer_id": who, "ends_at": ends_at, "reason": "self-exclusion"}
        assert client.post("/manage/v1/exclusions", json=given).status_code == 201
    assert client.delete("/manage/v1/exclusions", params={"customer_id": "Back"}).status_code == 204
    body = {"CustomerId": "Quiet", "Attributes": [{"RealFieldName": "ALLOW_EMAIL", "Value": "No"}]}
    assert client.put("/current/customers/UpsertCustomer", json=body).json()["isSuccess"]


def opened(client: httpx.Client) -> dict[str, str]:
    """What opens the tenant beside the tests' own key: another key, and the token of servers."""
    given = {"nickname": "leaked", "contact_email": "tests@example.com", "access_type": "Admin"}
    intake = client.get("/manage/v1/event-intake", params={"reveal": True}).json()
    jwt_key = client.post("/manage/v1/event-intake/user-jwt-keys", json={"algorithm": "HS256"})
    assert jwt_key.status_code == 201
    return {"key": client.post("/manage/v1/keys", json=given).json()["key"], "token": intake["server_token"]["value"]}


def end(client: httpx.Client) -> None:
    """All that opened the tenant is ended at once."""
    (leaked,) = [one["id"] for one in client.get("/manage/v1/keys").json() if one["nickname"] == "leaked"]
    assert client.delete(f"/manage/v1/keys/{leaked}").status_code == 204
    assert client.post("/manage/v1/event-intake/rotate", json={"kind": "server", "grace_hours": 0}).status_code == 200
    (jwt_key,) = client.get("/manage/v1/event-intake/user-jwt-keys").json()
    assert client.delete(f"/manage/v1/event-intake/user-jwt-keys/{jwt_key['id']}").status_code == 204


def opens(server: Server, key: str, before: dict[str, str]) -> list[int]:
    """What is answered to what opened the tenant before; and how many keys of X-User-JWT are good."""
    with httpx.Client(base_url=server.base_url, timeout=60) as client:
        read = client.get("/manage/v1/keys", headers={"X-API-KEY": before["key"]})
        event = client.post("/v1/events", headers={"authorization-token": before["token"]}, json={})
        good = client.get("/manage/v1/event-intake/user-jwt-keys", headers={"X-API-KEY": key}).json()
    return [read.status_code, event.status_code, len(good)]


def state(server: Server, key: str) -> dict[str, Any]:
    """What a restored server says of the persons."""
    with httpx.Client(base_url=server.base_url, headers={"X-API-KEY": key}, timeout=60) as client:
        held = {who: client.get(f"/manage/v1/persons/{who}") for who in NAMES}
        listed = client.get("/manage/v1/suppressions").json()
        excluded = client.get("/manage/v1/exclusions", params={"standing": True}).json()
        of_address = "/manage/v1/suppressions/of-address"
        strangers = {
            who: len(client.get(of_address, params={"address": f"{who}@elsewhere.example"}).json())
            for who in ("stranger", "returned")
        }
    rows = {who: one.json()["warehouse"]["customers"][0] for who, one in held.items() if one.status_code == 200}
    return {
        "mail": {who: row["EMAIL"] for who, row in rows.items()},
        "allowed": {who: row["ALLOW_EMAIL"] for who, row in rows.items()},
        "suppressed": [one["customer_id"] for one in listed],
        "excluded": {one["customer_id"]: (one["ends_at"], one["reason"]) for one in excluded},
        "strangers": strangers,
    }


def test_restores_from_one_and_the_same_backup(folder: Path, start: Callable[..., Server]) -> None:
    data, file, people = folder / "data", folder / "monday.rapport", folder / "people.csv"
    people.write_text(PEOPLE)
    assert run("tenant", "create", "A", "--data-dir", data).code == 0
    key = run(*KEY, "--data-dir", data, "--json").json["key"]
    assert run("import", "customers", people, "--tenant", "A", "--data-dir", data).code == 0
    server = start(data)
    with httpx.Client(base_url=server.base_url, headers={"X-API-KEY": key}, timeout=60) as client:
        before = opened(client)
        assert opens(server, key, before) == [200, 400, 1]
        early = client.post("/manage/v1/suppressions", json={"address": "early@elsewhere.example"})
        assert early.status_code == 201, "the backup holds it: it is not of the time since"
        assert run("backup", file, "--data-dir", data).code == 0
        said_since(client)
        end(client)
    server.end(signal.SIGTERM)
    shutil.rmtree(data)
    applied = run("restore", file, "--data-dir", folder / "second", "--json").json["applied"]
    assert {name: applied[name] for name in KEPT} == {"erased": 1, "anonymised": 1, "wishes": 10, "ended": 3}
    assert applied["journals"] == [str(folder.resolve() / "data.kept")] and applied["unknown"] == 0
    expected = {
        "mail": {who: f"{who}@example.com" for who in NAMES if who not in ("Gone", "Masked")} | {"Masked": None},
        "allowed": {who: "No" if who == "Quiet" else "Yes" for who in NAMES if who != "Gone"},
        "suppressed": ["Silent"],
        "excluded": {"Stays": (LATER, "self-exclusion")},
        "strangers": {"stranger": 1, "returned": 0},
    }
    server = start(folder / "second")
    assert state(server, key) == expected
    assert opens(server, key, before) == [401, 401, 0]
    server.end(signal.SIGTERM)
    # What was kept of the first folder is kept of the second from now on, too; applying it again changes nothing.
    shutil.rmtree(folder / "data.kept")
    shutil.rmtree(folder / "second")
    ended = run("restore", file, "--data-dir", folder / "second")
    assert "1 person erased, 1 anonymised" in ended.out
    server = start(folder / "second")
    assert state(server, key) == expected
    server.end(signal.SIGTERM)
    for name in ("second", "second.kept"):
        shutil.rmtree(folder / name)
    assert "No journal of erasures and opt-outs was found" in run("restore", file, "--data-dir", folder / "third").out
